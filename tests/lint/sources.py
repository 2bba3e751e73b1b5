"""What the lint knows of the repository: its folders, its files, and C text with comments and strings taken out."""
import re
from pathlib import Path

# Each folder with those it may use (design: arrows point one way).  A new folder is one row.
ARROWS = {
    'base': (),
    'card': ('base',),
    'mapper': ('base', 'card'),
    'ldap': ('base', 'mapper'),
    'trust': ('base', 'card', 'ldap'),
    'krb5': ('base', 'card', 'ldap', 'trust'),
    'cache': ('base', 'card', 'mapper', 'ldap', 'trust'),
    'service': ('base', 'card', 'mapper', 'ldap', 'trust', 'krb5', 'cache'),
    'cli': ('base', 'card', 'mapper', 'ldap', 'trust', 'krb5', 'cache', 'service', 'client'),
    'client': ('base', 'service'),
    'pam': ('client',),
    'cardmapd': ('base', 'ldap', 'trust', 'krb5', 'cache', 'service'),
    'resolver': ('base', 'card', 'mapper', 'ldap', 'trust', 'krb5', 'cache', 'service'),
    'helper': ('base', 'card', 'ldap', 'krb5', 'service'),
}

# The headers that other folders may use; base's all are.
PUBLIC = {
    'card/card.h', 'card/cert.h', 'card/watch.h', 'mapper/mapper.h', 'mapper/import.h', 'mapper/diagnose.h', 'ldap/directory.h', 'ldap/facts.h', 'ldap/fetch.h',
    'trust/trust.h', 'krb5/pkinit.h', 'krb5/ahead.h', 'krb5/hostcheck.h', 'krb5/ccache_put.h', 'krb5/ccache_write.h', 'krb5/renew.h', 'cache/accounts.h', 'cache/mobile.h', 'cache/transfer.h', 'cache/pairings.h', 'cache/sealed.h', 'cache/skip.h', 'cache/slots.h', 'cache/standing.h', 'cache/store_server.h',
    'client/cardmap.h',
    'service/answer.h', 'service/card_log.h', 'service/carry.h', 'service/channel.h', 'service/disabled.h', 'service/enforcement.h', 'service/enforcement_explain.h', 'service/explain.h', 'service/forecast.h', 'service/grant.h', 'service/host.h', 'service/interface.h', 'service/login.h', 'service/login_here.h', 'service/stages.h', 'service/apart.h', 'service/grant_apart.h', 'service/level.h', 'service/local.h', 'service/logind.h', 'service/mapping.h', 'service/mark.h', 'service/message.h', 'service/mobile.h', 'service/names.h', 'service/userdb.h', 'service/outlook.h', 'service/pair.h', 'service/pair_apart.h', 'service/password.h', 'service/policy.h', 'service/possession.h', 'service/refresh.h', 'service/seat.h', 'service/secret_card.h', 'service/secret_seal.h', 'service/selector.h', 'service/varlink.h',
}

# What is installed for others: there it has another name, which is its guard.
INSTALLED = {'client/cardmap.h': 'cardmap.h'}


def files(root, *folders, ends=('.c', '.h')):
    """Files so named in the folders (all of the repository without any), builds and git's own left out."""
    for folder in folders or ('.',):
        for path in sorted((root / folder).rglob('*')):
            inside = path.relative_to(root)
            if path.is_file() and path.name.endswith(ends) and not {'.git', 'build', '__pycache__'} & set(inside.parts):
                yield path


def product(root, ends=('.c', '.h')):
    return files(root, *ARROWS, ends=ends)


TOKENS = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)


def bare(text):
    """C text of the same lines, without what stands in comments, strings and characters."""
    def blank(match):
        kept = '""' if match[0].startswith('"') else "' '" if match[0].startswith("'") else ' '
        return kept + '\n' * match[0].count('\n')
    return TOKENS.sub(blank, text)


def line_of(text, offset):
    return text.count('\n', 0, offset) + 1


# The style's layout: the name in column 0, its braces alone in column 0.
FUNCTION = re.compile(r'^(?:static\s+)?(?:inline\s+)?(?:[A-Za-z_][^\n;={}#]*[ *\n])?'
                      r'(?P<name>[A-Za-z_]\w*)\((?P<parameters>[^;{}#]*)\)\n\{\n(?P<body>.*?)^\}', re.M | re.S)


def functions(text):
    """(name, first line, lines from brace to brace) of every function defined in bare text."""
    for match in FUNCTION.finditer(text):
        first = line_of(text, match.start('body')) - 1
        yield match['name'], first, match['body'].count('\n') + 2
