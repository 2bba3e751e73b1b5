#!/usr/bin/python3
"""test_lint.py BUILD: the lint's own test.  Each check passes what is right, and complains about each of these mistakes:
those of code in a small tree made here, those of words in the repository's own pages, with the program in BUILD.
"""
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

import checks_words
from checks_code import CHECKS
from sources import ARROWS, functions

HEADER = '''/* base/a.h - a thing. */
#ifndef CM_BASE_A_H
#define CM_BASE_A_H
int cm_a(int x);
#endif
'''
SOURCE = '''/* base/a.c - a thing. */
#include "base/a.h"

static const int table[] = { 1, 2 };

int
cm_a(int x)
{
	return table[x & 1];
}
'''
RIGHT = {
    'base/a.h': HEADER, 'base/a.c': SOURCE, 'base/CMakeLists.txt': 'cm_module(base a.c)\n',
    'card/card.h': '/* card/card.h - c. */\n#ifndef CM_CARD_CARD_H\n#define CM_CARD_CARD_H\n#endif\n',
    'card/piv_internal.h': '/* card/piv_internal.h - p. */\n#ifndef CM_CARD_PIV_INTERNAL_H\n#define CM_CARD_PIV_INTERNAL_H\n#endif\n',
    'CMakePresets.json': '{"configurePresets": [{"name": "dev"}, {"name": "release"}, {"name": "fuzz"}]}',
    'tests/fuzz/fuzz_a.c': '/* tests/fuzz/fuzz_a.c - fuzz a. */\n', 'tests/fuzz/seeds/a/one': 'x',
    'tests/base/test_a.c': '/* tests/base/test_a.c - test a. */\n',
    **{f'tests/{folder}/CMakeLists.txt': f'foreach(part a)\n  cm_test({folder}.a test_${{part}}.c)\nendforeach()\n'
       for folder in ARROWS},
    'tests/base/CMakeLists.txt': 'cm_test(base.a test_a.c)\ncm_fuzz(a cm_base)\n',
}
LONG = 'int\ncm_a(int x)\n{\n' + '\tx++;\n' * 99 + '\treturn x;\n}\n'

# check, file, its broken text, what the complaint must hold
MISTAKES = [
    ('arrows', 'base/a.c', SOURCE + '#include "card/card.h"\n', 'base/a.c:11: base may not use card'),
    ('arrows', 'base/a.c', SOURCE + '#include "a.h"\n', 'base/a.c:11: "a.h"'),
    ('arrows', 'card/b.c', '#include "base/a.h"\n#include "base/none.h"\n', 'card/b.c:2: "base/none.h"'),
    ('arrows', 'mapper/b.c', '#include "card/piv_internal.h"\n', 'mapper/b.c:1: card/piv_internal.h stays'),
    ('arrows', 'base/CMakeLists.txt', 'cm_module(base a.c LIBS cm_card)\n', 'base may not use card'),
    ('arrows', 'tests/mapper/t.c', '#include "card/piv_internal.h"\n', 'is for card and tests/card'),
    ('arrows', 'tests/rig/t.c', '#include "card/card.h"\n', 'the rig stands in for others'),
    ('headers', 'base/a.h', HEADER.replace('_A_H', '_B_H'), 'the guard is not CM_BASE_A_H'),
    ('headers', 'base/a.h', HEADER.replace('int x', 'size_t x'), 'does not compile alone with gcc'),
    ('headers', 'base/a.h', HEADER.replace('int x', 'size_t x'), 'does not compile alone with clang'),
    ('calls', 'base/a.c', SOURCE + '\tstrcpy(a, b);\n', 'base/a.c:11: strcpy() is not used here: use struct cm_buf'),
    ('calls', 'base/a.c', SOURCE + '\tsystem ("x");\n', 'base/a.c:11: system()'),
    ('calls', 'tests/base/test_a.c', 'atoi("1")', 'test_a.c:1: atoi()'),
    ('state', 'base/a.c', SOURCE + 'static int count;\n', 'base/a.c:11: count'),
    ('state', 'base/a.c', SOURCE + 'int count = 3;\n', 'base/a.c:11: count'),
    ('state', 'base/a.c', SOURCE + 'struct cm_a *all[4];\n', 'base/a.c:11: all'),
    ('state', 'base/a.c', SOURCE.replace('\treturn', '\tstatic char text[9];\n\treturn'), 'base/a.c:9: text'),
    ('state', 'base/a.c', SOURCE + 'static struct {\n\tint fd;\n} terminal = { .fd = -1 };\n', 'base/a.c:11: terminal'),
    ('sizes', 'base/a.c', '\n' * 600, 'base/a.c: 600 lines'),
    ('sizes', 'tests/base/test_a.c', '\n' * 1000, 'tests/base/test_a.c: 1000 lines'),
    ('sizes', 'base/a.c', LONG, 'base/a.c:3: cm_a() has 102 lines'),
    ('sizes', 'base/a.c', LONG.replace('\tx++;\n' * 39, '', 1), 'the 95th of 100 functions has 63 lines'),
    ('definitions', 'base/a.c', SOURCE.replace('cm_a', 'cm_b'), 'base/a.h:4: cm_a() is defined 0 times'),
    ('definitions', 'base/a.c', SOURCE.replace('cm_a', 'cm_b'), 'cm_b() stands in no header'),
    ('definitions', 'base/b.c', SOURCE, 'cm_a() is defined 2 times base/a.c:8 base/b.c:8'),
    ('comments', 'base/a.c', SOURCE.replace('base/a.c -', 'base/b.c -'), 'base/a.c:1: begin with'),
    ('tests', 'tests/card/CMakeLists.txt', '# cm_test(\n', 'card has no test'),
    ('tests', 'base/b.c', '/* base/b.c - unused. */\n', 'base/b.c: stands in no CMakeLists.txt'),
    ('tests', 'tests/base/test_b.c', '', 'tests/base/test_b.c: stands in no CMakeLists.txt'),
    ('tests', 'tests/fuzz/fuzz_b.c', '', 'no cm_fuzz() runs it'),
    ('tests', 'tests/fuzz/seeds/a/one', None, 'tests/fuzz/seeds/a: no seeds'),
    ('tests', 'CMakePresets.json', '{"configurePresets": [{"name": "dev"}, {"name": "fuzz"}]}', 'no preset release'),
    ('opens', 'base/a.c', SOURCE + '\tfd = open(path, O_RDONLY);\n', 'base/a.c:11: what decides is read by cm_file_read()'),
    ('opens', 'cardmapd/b.c', 'if (stat (path, &st) == 0)\n\tf = fopen(path, "re");\n', 'cardmapd/b.c:2: what decides'),
    ('opens', 'base/log.c', 'int x;\n', 'base/log.c:1: tests/lint/opens.py tells of 1 calls, and it has 0'),
    ('portable', 'doc/x.md', 'see /' + 'root/notes', 'doc/x.md:1: /' + 'root/n'),
    ('portable', 'doc/x.md', '\nfrom ' + 'deb' + '.example.org', 'doc/x.md:2: '),
]

# check, file, what is changed in it, into what, what the complaint must hold
WRONG_WORDS = [
    ('man_commands', 'doc/man/cardmap.1.scd', '*cards*', '*whose*', 'command cards is missing'),
    ('man_commands', 'doc/man/cardmap.1.scd', '*cards*\n', '*whose*\n', 'command whose: the program has none'),
    ('man_commands', 'doc/man/cardmap.1.scd', '--pin-fd* _N_', '--pin* _N_', 'option -p, --pin-fd N is missing'),
    ('man_commands', 'doc/man/cardmap.1.scd', '*78*\n', '*79*\n', 'exit status 78 is missing'),
    ('man_keys', 'doc/man/cardmap.conf.5.scd', '*first_gid*', '*last_gid*', 'key accounts.first_gid is missing'),
    ('man_keys', 'doc/man/cardmap.conf.5.scd', '60000 ms; default 2000', '60000 s; default 2000', 'is (number, 50 to 60000 ms;'),
    ('man_rules', 'doc/man/cardmap-rules.5.scd', '*fasc_n*', '*fascn*', 'field fasc_n is missing'),
    ('man_rules', 'doc/man/cardmap-rules.5.scd', '|  ski\n', '|  sky\n', 'form ski is missing'),
    ('man_pam', 'doc/man/pam_cardmap.8.scd', '*quiet*\n', '*silent*\n', 'option quiet is missing'),
    ('man_pam', 'doc/man/pam_cardmap.8.scd', '*PAM_MAXTRIES*\n', '*PAM_ABORT*\n', 'code PAM_ABORT: the program has none'),
    ('man_pam', 'pam/results.c', '{ "store", UNAVAILABLE', '{ "store", REFUSED', 'reason that could not ask store is missing'),
    ('man_pam', 'doc/man/libcardmap.3.scd', '*cardmap_fd*()', '*cardmap_id*()', 'function cardmap_fd is missing'),
    ('man_reasons', 'doc/man/cardmap-login.7.scd', '*no_rule* (1)', '*no_rule* (2)', 'no_rule: is (1), Remedy: the'),
    ('man_reasons', 'doc/man/cardmap-login.7.scd', 'put the card into the', 'lose the', 'no_card: is (4), Remedy: put'),
    ('man_reasons', 'doc/man/cardmap-login.7.scd', '*admit*\n', '*permit*\n', 'the stages are certificate, chain'),
    ('man_reasons', 'base/trace.h', 'X(NO_RULE,', 'X(NO_RULES,', 'reason no_rules is missing'),
    ('man_revocation', 'doc/man/cardmap-revocation.7.scd', '*rollback*', '*rolled*', 'objection rollback is missing'),
    ('man_revocation', 'doc/man/cardmap-revocation.7.scd', 'Its signature is wrong', 'All is well', 'signature: is its signature is wrong'),
    ('man_revocation', 'doc/man/cardmap-revocation.7.scd', 'soft      none      wrong ', 'soft      none      silent',
     'decision soft, none, wrong is missing'),
    ('man_revocation', 'doc/man/cardmap-revocation.7.scd', 'soft      none      wrong ', 'soft      none      silent',
     'decision soft, none, silent stands there 2 times'),
    ('man_revocation', 'doc/man/cardmap-revocation.7.scd', 'refused  revoked\n', 'refused  stolen\n', 'revoked: refused stolen'),
    ('man_daemon', 'doc/man/cardmapd.8.scd', '*--no-drop*', '*--drop*', 'option --no-drop is missing'),
    ('man_daemon', 'doc/man/cardmapd.8.scd', '*--run-dir* _DIR_', '*--run-dir* _PATH_', 'option --run-dir DIR is missing'),
    ('man_daemon', 'doc/man/cardmapd.8.scd', '*CARDMAP\\_STAGES*', '*CARDMAP\\_TIMES*', 'field CARDMAP_STAGES is missing'),
    ('man_protocol', 'cardmapd/permissions.c', '"io.cardmap.Log",           { CM_MAY, CM_MAY_NOT,',
     '"io.cardmap.Log",           { CM_MAY, CM_MAY,', 'permission io.cardmap.Log yes yes no is missing'),
    ('man_protocol', 'service/io.cardmap.varlink', 'method Status()', 'method State()', 'method io.cardmap.State is missing'),
    ('man_protocol', 'resolver/whois.c', '(32 << 10)', '(64 << 10)', 'MESSAGE_MAX, 65536, is missing'),
    ('man_protocol', 'cardmapd/clients.h', 'CM_CLIENTS_PER_USER	64', 'CM_CLIENTS_PER_USER	65', 'CM_CLIENTS_PER_USER, 65, is missing'),
    ('objections', 'trust/objection.h', 'X(STALE, "stale",', 'X(STALER, "staler",', 'staler: nothing in trust/ makes it'),
    ('objections', 'tests/trust/test_crl.c', '[not_a_list_signer]', '', 'not_a_list_signer: no test asserts it'),
    ('examples', 'doc/examples/cardmap.conf', 'level = soft', 'level = mild', 'trust.level = mild'),
    ('examples', 'doc/examples/Local-SmartcardLogin.plist', 'Kerberos:$1', 'Kerberos:', 'formatString names no field'),
    ('examples', 'doc/man/cardmap.conf.5.scd', 'level = hard', 'levels = hard', 'no such option'),
    ('prose', 'README.md', 'cardmap accounts list --config', 'cardmap account list --config', 'cardmap account: no such command'),
    ('prose', 'README.md', '--set directory.base=', '--set directory.root=', 'no key directory.root'),
    ('prose', 'README.md', '`--export` writes', '`cardmap cards --import` writes', 'cardmap cards has no --import'),
    ('prose', 'CONTRIBUTING.md', '`cli/main.c`', '`cli/commands.c`', 'cli/commands.c is not there'),
    ('folders', 'ARCHITECTURE.md', '| base mapper |', '| base card mapper |', 'ldap may use base mapper'),
    ('folders', 'ARCHITECTURE.md', '| `cache/`', '| `store/`', 'folder cache is missing'),
    ('folders', 'ARCHITECTURE.md', '`strength.c`', '`strong.c`', 'mapper/strength.c is in no row'),
    ('messages', 'ldap/directory.c', 'set directory.uri,', 'set directory.url,', 'no key directory.url'),
    ('readme', 'README.md', 'cardmap whois --card file:alice.pem', 'cardmap whois --card file:bob.pem', 'bob.pem: no such file'),
]


class Words(unittest.TestCase):
    def test_mistakes(self):
        root = Path(__file__).resolve().parents[2]
        for check, name, old, new, want in WRONG_WORDS:
            with self.subTest(check=check, name=name, want=want), tempfile.TemporaryDirectory() as folder:
                for part in ('doc', 'scripts', 'tests', *ARROWS):
                    shutil.copytree(root / part, Path(folder) / part, ignore=shutil.ignore_patterns('seeds'))
                for part in root.glob('*.md'):
                    shutil.copy(part, folder)
                text = (root / name).read_text()
                self.assertIn(old, text)
                (Path(folder) / name).write_text(text.replace(old, new))
                found = list(checks_words.CHECKS[check](Path(folder), BUILD))
                self.assertTrue(any(want in complaint for complaint in found), found)


class Code(unittest.TestCase):
    def complaints(self, check, changes):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for name, text in {**RIGHT, **changes}.items():
                if text is not None:
                    (root / name).parent.mkdir(parents=True, exist_ok=True)
                    (root / name).write_text(text)
            return list(CHECKS[check](root, root / 'build'))

    def test_right_tree(self):
        for check in CHECKS:
            with self.subTest(check):
                self.assertEqual(self.complaints(check, {}), [])

    def test_mistakes(self):
        for check, name, text, want in MISTAKES:
            with self.subTest(check=check, name=name, want=want):
                found = self.complaints(check, {name: text})
                self.assertTrue(any(want in complaint for complaint in found), found)

    def test_words_in_comments_and_strings_are_none(self):
        changes = {'base/a.c': SOURCE + '/* strcpy(a, b) */\nstatic const char text[] = "system(\\"x\\")";\n'}
        for check in ('calls', 'state'):
            self.assertEqual(self.complaints(check, changes), [])

    def test_functions_are_seen(self):
        text = 'static struct x *\nf(int a,\n    int b)\n{\n\treturn 0;\n}\n\nint CM_PRINTF(1, 0)\ng(void)\n{\n}\n'
        self.assertEqual(list(functions(text)), [('f', 4, 3), ('g', 10, 2)])


if __name__ == '__main__':
    BUILD = Path(sys.argv.pop()).resolve()
    unittest.main()
