"""opens.py: where programs with privilege open or look at a file by its name, and why each is right.

What decides something is read by cm_file_read(), cm_file_hold() or cm_place_open(), which judge owner and mode of what is open.
A row here is a file of C, how many calls it has that go by a name, and how each is safe; another call wants another look.
"""
FOLDERS = ('base', 'cache', 'client', 'cardmapd', 'helper', 'krb5', 'pam', 'service')
CALLS = ('open', 'openat', 'openat2', 'fopen', 'opendir', 'scandir', 'stat', 'lstat', 'fstatat', 'statx', 'access', 'faccessat', 'euidaccess',
         'mkstemp', 'mkostemp', 'sqlite3_open', 'sqlite3_open_v2')
OPENS = {
    # -- those that judge
    'base/file.c': (1, 'the way to read what decides: fstat(2) of what was opened'),
    'base/place.c': (2, 'the way to a program or a library: from the root down, no links, each folder judged as it is open'),
    'base/conf_managed.c': (2, 'the folder is judged as it is open; access(2) only chooses between two messages'),
    'base/wire_listen.c': (3, 'the folder is judged as it is open, and all is done in that folder'),
    'cache/store.c': (8, 'the folder is judged as it is open: in one that root alone writes a name stays that file\'s, and SQLite follows no link'),
    'service/userdb.c': (7, 'the folder is judged as it is open; in it no link is followed, and what is read is a regular file by fstat(2)'),
    # -- the kernel's, the system's and root's own
    'base/child.c': (2, 'the program was judged by cm_place_open(); /dev/null'),
    'base/clock.c': (1, 'the kernel\'s boot_id'),
    'base/log.c': (1, 'is there a journal? Nothing is opened'),
    'cardmapd/permissions.c': (1, '/etc/group'),
    'service/local.c': (2, 'files of /etc, judged by fstat(2); /etc/passwd as the C library reads it'),
    'service/enforcement_check.c': (1, '/etc/shadow: is the password locked?'),
    'service/refresh.c': (2, '/etc/machine-id; a lock beside the store, which follows no link'),
    'service/seat.c': (3, 'the kernel\'s control groups; is there a logind?'),
    # -- files of ours, made anew, where nobody else writes
    'cardmapd/untold.c': (2, 'in the folder of root alone; what is found is read by cm_file_read()'),
    'cardmapd/whole_file.c': (1, 'in the folder of root alone, made anew and put there whole'),
    'service/card_log.c': (1, 'made anew (O_EXCL), follows no link'),
    'service/carry.c': (1, 'made anew (O_EXCL), follows no link'),
    'service/mark.c': (2, 'in the folder of root alone: that it is there is all it says'),
    'cache/transfer.c': (2, 'in memory'),
    # -- as the user whose it is
    'krb5/ccache_write.c': (3, 'by the process that has become the user; a name is taken by rename(2) or link(2)'),
    'krb5/look.c': (1, 'as the user: whose ccache lies there, which libkrb5 opens with the user\'s rights alone'),
    'krb5/renew.c': (1, 'as the user: whose ccache lies there'),
    # -- nothing is opened by what was seen
    'cache/accounts.c': (1, 'is it a socket? Who answers there is judged by its credentials, a file by cache/store.c'),
    'cardmapd/imports.c': (2, 'is there one at all? It is read by a process without privilege, by cm_file_read()'),
    'cardmapd/main.c': (4, 'which folder has the programs, and its own to make: mkdir(2), then no link and not another\'s'),
    'cardmapd/sockets.c': (1, 'folders it has just made: no link, and root\'s'),
    'cardmapd/starter.c': (2, 'the programs of its own folder, root\'s: a warning before the first is started'),
    'krb5/ccache_put.c': (1, 'which folder has the program'),
    'service/explain_login.c': (1, 'is there a selector? It is run by cm_place_open()'),
    'service/mobile.c': (1, 'is there a record of somebody else\'s? None is made then'),
    'service/names.c': (1, 'which folder has the program'),
}
