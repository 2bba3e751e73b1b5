"""Checks on the words about the program: man pages, README and messages say what it does, and nothing it does not do.

They run the built program.  Each takes the repository's root and the build folder and yields its complaints.
"""
import json
import os
import pty
import re
import select
import subprocess
import tempfile
import time
from pathlib import Path

from sources import ARROWS, files, line_of, product

PROSE = ('README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md')
RUN_SECONDS = 60


def ask(build, *arguments):
    done = subprocess.run([build / 'cli/cardmap', *arguments], capture_output=True, text=True, timeout=RUN_SECONDS)
    if done.returncode != 0:
        raise RuntimeError(f'cardmap {" ".join(arguments)}: status {done.returncode}\n{done.stdout}{done.stderr}')
    return done.stdout


def commands(build):
    """{command: {its options}}, as the program's own help tells."""
    listed = ask(build, '--help').split('Commands:\n')[1].split('\n\n')[0]
    names = re.findall(r'^  ([\w-]+) ', listed, re.M)
    return {name: set(re.findall(r'^  -\w, --([a-z-]+)', ask(build, 'help', name), re.M)) for name in names}


def keys(build):
    """{SECTION.KEY: what it may be}, those of a section rule "NAME" among them."""
    with tempfile.NamedTemporaryFile() as empty:
        shown = json.loads(ask(build, 'config', 'show', '--json', '--config', empty.name))
    return shown['values'] | {f'rule.{key}': item for key, item in shown['rule_keys'].items()}


def section(text, name):
    match = re.search(rf'^# {name}\n(.*?)(?=^# |\Z)', text, re.M | re.S)
    return match[1] if match else ''


def differ(page, what, written, real):
    for name in sorted(set(real) - set(written)):
        yield f'{page}: {what} {name} is missing'
    for name in sorted(set(written) - set(real)):
        yield f'{page}: {what} {name}: the program has none'


# ---- man pages

def man_commands(root, build):
    """cardmap(1) has every command and option, with its short letter, and no other."""
    page = 'doc/man/cardmap.1.scd'
    text = (root / page).read_text()
    real = commands(build)
    yield from differ(page, 'command', re.findall(r'^\*([\w-]+)\*', section(text, 'COMMANDS'), re.M), real)
    helped = {match for name in real for match in
              re.findall(r'^  (-\w, --[a-z-]+(?: [A-Z=]+)?)', ask(build, 'help', name), re.M)}
    written = {re.sub(r'[*_\\]', '', line) for line in re.findall(r'^\*-\w\*,.*', section(text, 'OPTIONS'), re.M)}
    yield from differ(page, 'option', written, helped)
    codes = re.search(r'^Exit codes: (.*)', ask(build, '--help'), re.M)[1]
    yield from differ(page, 'exit status', re.findall(r'^\*(\d+)\*$', section(text, 'EXIT STATUS'), re.M),
                      re.findall(r'\d+', codes))


def man_groups(_root, build):
    """Each command stands in the page of its group, with all its options."""
    pages = {page: page.read_text() for page in (build / 'doc').glob('cardmap-*.1.scd')}
    for name, options in commands(build).items():
        found = [text for text in pages.values() if re.search(rf'^\*cardmap {name}\*', section(text, 'DESCRIPTION'), re.M)]
        if len(found) != (name != 'completion'):
            yield f'command {name}: {len(found)} pages cardmap-GROUP(1) have it'
        for option in sorted(options):
            if found and not re.search(rf'^\*-\w\*, \*--{option}\*.*\n\t\S', section(found[0], 'OPTIONS'), re.M):
                yield f'command {name}: its page lacks option {option}'


def entry(item):
    """How a key's line in cardmap.conf(5) describes it."""
    span = f', {item["min"]} to {item["max"]} {item["unit"]}'.rstrip() if 'max' in item else ''
    return f'({item["type"]}{span}; {"default " + item["default"] if item["default"] else "not set"})'


def man_keys(root, build):
    """cardmap.conf(5) has every key with its type, unit, range and default, and no other."""
    page = 'doc/man/cardmap.conf.5.scd'
    written, name = {}, ''
    for line in section((root / page).read_text(), 'SECTIONS').splitlines():
        if line.startswith('## '):
            name = line[3:]
        elif match := re.fullmatch(r'\*(\w+)\* (\(.*\))', line):
            written[f'{name}.{match[1]}'] = match[2].replace('\\_', '_')
    real = {key: entry(item) for key, item in keys(build).items()}
    yield from differ(page, 'key', written, real)
    for key in written.keys() & real.keys():
        if written[key] != real[key]:
            yield f'{page}: {key} {written[key]}: is {real[key]}'


def man_rules(root, _build):
    """cardmap-rules(5) names every field of a template and every built-in form."""
    page = 'doc/man/cardmap-rules.5.scd'
    text = (root / page).read_text()
    fields = (root / 'mapper/fields.c').read_text()
    names = set(re.findall(r'\.name = "(\w+[a-z])"', fields)) | set(re.findall(r'^\tTEXT(?:_PARTS)?\("(\w+)"', fields, re.M))
    names |= {'subject_' + name for name in re.findall(r'^\tSAN(?:_AS)?\("(\w+)"', fields, re.M)}
    for name in sorted(names - set(re.findall(r'\*(\w+)\*', section(text, 'TEMPLATES')))):
        yield f'{page}: field {name} is missing'
    forms = set(re.findall(r'(?:ALT\(|\.name = )"([\w-]+)"', (root / 'mapper/forms.c').read_text()))
    for name in sorted(forms - set(re.findall(r'[\w-]+', section(text, 'FORMS')))):
        yield f'{page}: form {name} is missing'


EXIT = {'ABSENT': 1, 'AMBIGUOUS': 2, 'REFUSED': 3, 'SYNTAX': 3, 'USAGE': 64, 'CONFIG': 78}


def man_reasons(root, _build):
    """cardmap-login(7) has every reason with its exit status and remedy, every stage in its order, and no other."""
    page = 'doc/man/cardmap-login.7.scd'
    text = (root / page).read_text()
    real = {name.lower(): (str(EXIT.get(err, 4)), remedy) for name, err, remedy in
            re.findall(r'^\tX\((\w+), (\w+), "(.*)"\)', (root / 'base/trace.h').read_text(), re.M) if name != 'NONE'}
    written = {name: (code, ' '.join(remedy.split())) for name, code, remedy in
               re.findall(r'^\*(\w+)\* \((\d+)\)\n(?:\t.*\n)*?\tRemedy: (.*\n(?:\t.*\n)*)', section(text, 'REASONS'), re.M)}
    yield from differ(page, 'reason', written, real)
    for name in written.keys() & real.keys():
        if written[name] != real[name]:
            yield f'{page}: {name}: is ({real[name][0]}), Remedy: {real[name][1]}'
    stages = re.findall(r'^\t\{ CM_\w+_PIN, .*"(\w+)"', (root / 'service/login.c').read_text(), re.M)
    if re.findall(r'^\*(\w+)\*$', section(text, 'STAGES'), re.M) != stages:
        yield f'{page}: the stages are {", ".join(stages)}'


def man_revocation(root, _build):
    """cardmap-revocation(7) has every objection in its words, and no other; its table decides each cell, once."""
    page = 'doc/man/cardmap-revocation.7.scd'
    text = (root / page).read_text()
    real = {name: means for name, means in
            re.findall(r'^\tX\(\w+, "(\w+)", "(.*)"\)', (root / 'trust/objection.h').read_text(), re.M) if name != 'none'}
    written = {name: ' '.join(means.split()) for name, means in
               re.findall(r'^\*(\w+)\*\n((?:\t.*\n)+)', section(text, 'OBJECTIONS'), re.M)}
    yield from differ(page, 'objection', written, real)
    for name in written.keys() & real.keys():
        if written[name].rstrip('.').lower() != real[name].lower():
            yield f'{page}: {name}: is {real[name]}'
    yield from table_of_decisions(page, text, (root / 'base/trace.h').read_text())


def man_daemon(root, build):
    """cardmapd(8) has every option of the program and every field of the log, and no other."""
    page = 'doc/man/cardmapd.8.scd'
    text = (root / page).read_text()
    helped = subprocess.run([build / 'cardmapd/cardmapd', '--help'], capture_output=True, text=True, check=True,
                            timeout=RUN_SECONDS).stdout
    pattern = r'--[a-z-]+(?: [A-Z]+)?'
    listed = '\n'.join(line for line in helped.splitlines() if line.startswith('  '))
    real = re.findall(rf'(?:^ +|, ){pattern}', re.sub(r'^ +-\w, ', '  ', listed, flags=re.M), re.M)
    written = re.findall(pattern, re.sub(r'[*_\\]', '', '\n'.join(re.findall(r'^\*-.*', section(text, 'OPTIONS'), re.M))))
    yield from differ(page, 'option', written, [name.strip(' ,') for name in real])
    fields = re.findall(r'\*(CARDMAP_\w+)\*', section(text, 'LOG').replace('\\_', '_'))
    yield from differ(page, 'field', fields, re.findall(r'"(CARDMAP_\w+)"', (root / 'base/log.c').read_text()))


def man_protocol(root, _build):
    """cardmap-protocol(7) has the table of who may ask what that cardmapd goes by, every method, and the limits."""
    page = 'doc/man/cardmap-protocol.7.scd'
    text = (root / page).read_text()
    words = {'CM_MAY': 'yes', 'CM_MAY_OWN': 'own', 'CM_MAY_NOT': 'no'}
    rows = re.findall(r'^\t\{ "([\w.]+)", +\{ (\w+), (\w+), (\w+) \} \}', (root / 'cardmapd/permissions.c').read_text(), re.M)
    real = {' '.join((name, *(words[one] for one in may))) for name, *may in rows}
    table = text.split('; begin permissions\n')[1].split('; end permissions\n')[0].strip().strip('`').strip()
    yield from differ(page, 'permission', [' '.join(line.split()) for line in table.splitlines()[1:]], real)
    methods = []
    for path in sorted((root / 'service').glob('*.varlink')):
        methods += [f'{path.stem}.{name}' for name in re.findall(r'^method (\w+)\(', path.read_text(), re.M)]
        if f'\n@{path.stem}@\n' not in text:
            yield f'{page}: the interface {path.stem} is missing'
    yield from differ(page, 'method', [name for name, *_ in rows], methods)
    said = section(text, 'LIMITS')
    limits = re.findall(r'^#define (CM_CLIENT\w+)\s+(\d+)\b', (root / 'cardmapd/clients.h').read_text(), re.M)
    limits += [(name, str(int(number) << 10)) for name, number in
               re.findall(r'^#define (MESSAGE_MAX)\s+\((\d+) << 10\)', (root / 'resolver/whois.c').read_text(), re.M)]
    for name, number in limits:
        shown = str(int(number) // 1000) + ' s' if name.endswith('_MS') else number
        if not re.search(rf'\b{shown}\b', said):
            yield f'{page}: LIMITS: {name}, {shown}, is missing'


def objections(root, _build):
    """Each objection to an answer about revocation is made by trust/, and a test asserts it by its name."""
    code = ''.join(path.read_text() for path in (root / 'trust').glob('*.c'))
    tests = ''.join(path.read_text() for path in (root / 'tests').rglob('test_*.c'))
    scenarios = ''.join(path.read_text() for path in (root / 'tests/scenarios').glob('test_revocation_*.py'))
    for row, name in re.findall(r'^\tX\((\w+), "(\w+)", ".+"\)', (root / 'trust/objection.h').read_text(), re.M):
        constant = re.compile(rf'CM_OBJECTION_{row}\b')
        if not constant.search(code):
            yield f'trust/objection.h: {name}: nothing in trust/ makes it'
        if not constant.search(tests) and f'[{name}]' not in tests + scenarios and f"'{name}'" not in scenarios:
            yield f'trust/objection.h: {name}: no test asserts it'


def table_of_decisions(page, text, trace):
    """Every level, with every evidence and network that the page explains, stands there once."""
    table = text.split('; begin decisions\n')[1].split('; end decisions\n')[0].strip().strip('`').strip()
    rows = [tuple(re.split(r' {2,}', line)) for line in table.splitlines()[1:]]
    terms = section(text, 'DECISIONS').split('The _network_:')
    evidence, network = (re.findall(r'^\*(\w+)\*$', part, re.M) for part in terms)
    levels = ['off', 'chain', 'soft', 'soft 72h', 'hard', 'hard 72h']
    reasons = {f'{name.lower()}' for name in re.findall(r'^\tX\((\w+),', trace, re.M)}
    seen = []
    for level, kept, says, outcome, reason in rows:
        seen += [(level, one, other) for one in ([kept] if kept != 'any' else evidence)
                 for other in ([says] if says != 'any' else network)]
        if (outcome, reason) != ('passes', '-') and (outcome != 'refused' or reason not in reasons):
            yield f'{page}: {level}, {kept}, {says}: {outcome} {reason}'
    cells = [(level, kept, says) for level in levels for kept in evidence for says in network]
    yield from differ(page, 'decision', map(', '.join, seen), map(', '.join, cells))
    for cell in sorted({cell for cell in seen if seen.count(cell) > 1}):
        yield f'{page}: decision {", ".join(cell)} stands there {seen.count(cell)} times'


def man_pam(root, _build):
    """pam_cardmap(8) has every option and every code of the module, libcardmap(3) every function, and no other."""
    page = 'doc/man/pam_cardmap.8.scd'
    text = (root / page).read_text().replace('\\', '')
    rows = re.search(r'\} rows\[\] = \{\n(.*?)^\};', (root / 'pam/options.c').read_text(), re.M | re.S)[1]
    yield from differ(page, 'option', re.findall(r'^\*(\w+=?)\*', section(text, 'OPTIONS'), re.M), re.findall(r'\{ "(\S+)"', rows))
    codes = {code for path in files(root, 'pam', ends='.c') for code in re.findall(
        r'\b(PAM_(?:SUCCESS|IGNORE|USER_UNKNOWN|MAXTRIES|PERM_DENIED|TRY_AGAIN|ACCT_EXPIRED|[A-Z_]+_(?:ERR|UNAVAIL)))\b', path.read_text())}
    yield from differ(page, 'code', re.findall(r'^\*(PAM_\w+)\*', section(text, 'RETURN VALUES'), re.M), codes)
    # "Could not ask" is never "no" (base/err.h), for PAM as well.
    kinds = dict(re.findall(r'\{ "(\w+)", (\w+),', (root / 'pam/results.c').read_text()))
    reasons = {name.lower(): err for name, err in re.findall(r'^\tX\((\w+), (\w+),', (root / 'base/trace.h').read_text(), re.M)}
    yield from differ('pam/results.c', 'reason that could not ask', [name for name in kinds if kinds[name] == 'UNAVAILABLE'],
                      [name for name, err in reasons.items() if err not in ('OK', 'ABSENT', 'AMBIGUOUS', 'REFUSED')])
    yield from differ('pam/results.c', 'reason', kinds, kinds.keys() & reasons)
    page, header = 'doc/man/libcardmap.3.scd', re.sub(r'/\*.*?\*/', '', (root / 'client/cardmap.h').read_text(), flags=re.S)
    yield from differ(page, 'function', re.findall(r'\*(cardmap_\w+)\*\(', (root / page).read_text()),
                      re.findall(r'\b(cardmap_\w+)\(', header))


def examples(root, build):
    """The example configuration and those in cardmap.conf(5) are taken without a complaint, and set what they say."""
    page = (root / 'doc/man/cardmap.conf.5.scd').read_text()
    texts = {'doc/examples/cardmap.conf': (root / 'doc/examples/cardmap.conf').read_text()}
    texts |= {f'doc/man/cardmap.conf.5.scd:{line_of(page, match.start())}': match[1]
              for match in re.finditer(r'^```\n(.*?)^```', page, re.M | re.S)}
    rules = (root / 'doc/man/cardmap-rules.5.scd').read_text()
    texts |= {f'doc/man/cardmap-rules.5.scd:{line_of(rules, match.start())}': match[1]
              for match in re.finditer(r'^```\n(rule ".*?)^```', rules, re.M | re.S)}
    for name, text in texts.items():
        with tempfile.NamedTemporaryFile('w') as file:
            file.write(text)
            file.flush()
            try:
                values = json.loads(ask(build, 'config', 'show', '--json', '--config', file.name))['values']
            except RuntimeError as error:
                yield f'{name}: {error}'
                continue
            if not text.startswith('rule "') and \
                    not any(item['origin'].startswith(file.name) for item in values.values()):
                yield f'{name}: sets nothing'
    for path in sorted((root / 'doc/examples').glob('*.plist')):
        yield from example_plist(build, path)


def example_plist(build, path):
    """What import makes of it is taken and has its rule: as it stands, and with what is commented out."""
    text = path.read_text()
    with tempfile.TemporaryDirectory() as folder:
        for name, content in ((path.name, text), (f'{path.name}, all of it', re.sub(r'<!--\n(?:[^<]*\n)?(\t<key>.*?)-->', r'\1', text, flags=re.S))):
            plist, conf = Path(folder, 'SmartcardLogin.plist'), Path(folder, 'cardmap.conf')
            plist.write_text(content)
            try:
                conf.write_text(ask(build, 'import', 'plist', str(plist)))
                shown = json.loads(ask(build, 'config', 'show', '--json', '--config', str(conf)))
            except RuntimeError as error:
                yield f'doc/examples/{name}: {error}'
                continue
            if not any('nt_principal_name' in json.dumps(rule) for rule in shown['rules']):
                yield f'doc/examples/{name}: makes no rule'


# ---- prose

def prose(root, build):
    """What README and its like name exists: commands, options, keys, files."""
    real, known = commands(build), keys(build)
    for name in PROSE:
        text = (root / name).read_text()
        for match in re.finditer(r'(?<![\w./-])cardmap ([a-z]+(?:-[a-z]+)*)\b((?:(?!cardmap )[^`\n]|\\\n)*)', code_of(text)):
            at = f'{name}:{line_of(text, match.start())}'
            if match[1] not in real:
                yield f'{at}: cardmap {match[1]}: no such command'
            for option in re.findall(r'(?<!\S)--([a-z-]+)', match[2]):
                if option not in real.get(match[1], ()):
                    yield f'{at}: cardmap {match[1]} has no --{option}'
        for match in re.finditer(r'--set ([a-z_.]+)=|`([a-z]+\.[a-z_]+)(?: = |`)', text):
            key = match[1] or match[2]
            if key not in known and (match[1] or key.split('.')[0] in {k.split('.')[0] for k in known}) \
                    and not key.endswith(('.h', '.c')):
                yield f'{name}:{line_of(text, match.start())}: no key {key}'
        for match in re.finditer(r'(?:`|\]\()((?:[A-Za-z_.]+/)+[\w.-]*|[A-Z]+\.md)(?: [^`]*)?[`)]', text):
            if not (root / match[1]).exists() and not match[1].startswith('build/') and not is_pattern(match[1]):
                yield f'{name}:{line_of(text, match.start())}: {match[1]} is not there'


def folders(root, _build):
    """ARCHITECTURE's table of folders is the one that the lint goes by; its other one places each file of mapper/."""
    words = (root / 'ARCHITECTURE.md').read_text()
    rows = dict(re.findall(r'^\| `(\w+)/` \|.*\| ([a-z0-9 ]+) \|$', words, re.M))
    for path in files(root, 'mapper', ends='.c'):
        if f'`{path.name}`' not in words:
            yield f'ARCHITECTURE.md: mapper/{path.name} is in no row of the steps of a mapping'
    yield from differ('ARCHITECTURE.md', 'folder', rows, ARROWS)
    for i, (folder, allowed) in enumerate(ARROWS.items()):
        text = rows.get(folder, '')
        if {'nothing': (), 'all above': tuple(ARROWS)[:i]}.get(text, tuple(text.split())) != allowed:
            yield f'ARCHITECTURE.md: {folder} may use {" ".join(allowed) or "nothing"}'


def is_pattern(path):
    """tests/NAME/test_X.c stands for many."""
    return bool(re.search(r'(?<![a-z])[A-Z]+(?![a-z])', re.sub(r'(README|ARCHITECTURE|CONTRIBUTING|LICENSE)', '', path)))


def code_of(text):
    """Only what stands in code, lines kept."""
    kept = re.compile(r'^```.*?^```|`[^`\n]+`', re.M | re.S)
    out, end = '', 0
    for match in kept.finditer(text):
        out += re.sub(r'[^\n]', ' ', text[end:match.start()]) + match[0]
        end = match.end()
    return out


def messages(root, build):
    """A message that sends people to a key of the configuration names one that exists."""
    known = keys(build)
    sections = '|'.join(sorted({key.split('.')[0] for key in known}))
    for path in product(root):
        text = path.read_text()
        for literal in re.finditer(r'^(?!#include).*', text, re.M):
            for match in re.finditer(rf'"[^"\n]*?(?<![\w/.])((?:{sections})\.([a-z_]+))\b(?!\()[^"\n]*"', literal[0]):
                if match[1] not in known and match[2] not in ('h', 'c', 'pem', 'log'):
                    yield f'{path.relative_to(root)}:{line_of(text, literal.start())}: no key {match[1]}'


def completion(_root, build):
    """The completion script is one that bash takes, and offers every command and option."""
    text = ask(build, 'completion')
    asked = subprocess.run(['bash', '-n'], input=text, capture_output=True, text=True, timeout=RUN_SECONDS)
    if asked.returncode:
        yield f'cardmap completion: {asked.stderr.strip()}'
    for name, options in commands(build).items():
        for words, want in (('cardmap ""', {name}), (f'cardmap {name} --', {'--' + option for option in options})):
            if name == 'completion' and words.endswith('--'):
                continue
            script = f'{text}\nCOMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _cardmap; echo "${{COMPREPLY[@]}}"'
            said = subprocess.run(['bash', '-c', script], capture_output=True, text=True, timeout=RUN_SECONDS).stdout
            for missing in sorted(want - set(said.split())):
                yield f'cardmap completion: {words}: does not offer {missing}'


# ---- Examples, run

def readme(root, build):
    """README's examples run as they are written, in a fresh folder, and each command ends with 0."""
    blocks = [match[1] for match in re.finditer(r'^```sh\n(.*?)^```', (root / 'README.md').read_text(), re.M | re.S)
              if 'cardmap ' in match[1]]
    yield from run('README.md', build, ''.join(blocks))


def help_examples(_root, build):
    """So do those of --help that need no server and no reader."""
    lines = ask(build, '--help').split('Examples:\n')[1].split('\n\n')[0].replace('\\\n', '')
    examples = [line for line in lines.splitlines() if 'file:' in line or '=ca.pem' in line]
    folder = build / 'pki'
    yield from run('cardmap --help', build, f"""
PATH="$PWD/build/release/cli:$PATH"
cp '{folder}/alice-rsa2048.pem' alice.pem
cat '{folder}/root.crt' '{folder}/inter.crt' >ca.pem
cp '{folder}/people.ldif' .
""" + '\n'.join(examples) if examples else '')


def run(name, build, commands_text):
    if not commands_text:
        yield f'{name}: no example that can be run'
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / 'build').mkdir()
        (Path(folder) / 'build/release').symlink_to(build)
        status, said = on_terminal(['bash', '-c', 'set -e\n' + commands_text], folder)
        if status != 0:
            yield f'{name}: the examples end with status {status}:\n{said}'


def on_terminal(command, folder):
    """Run it on a terminal of its own, type a PIN wherever one is asked."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execvp(command[0], command)
    said, answered, deadline = b'', 0, time.monotonic() + RUN_SECONDS
    while select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0]:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # EIO: nobody holds the other side any more
            break
        if not chunk:
            break
        said += chunk
        if said.count(b'PIN for ') > answered and said.rstrip(b' ').endswith(b':'):
            answered += 1
            os.write(terminal, b'123456\n')
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said.decode(errors='replace').replace('\r\n', '\n')


CHECKS = {check.__name__: check for check in (
    man_commands, man_groups, man_keys, man_reasons, man_revocation, man_daemon, man_protocol, objections, man_rules, man_pam, examples, prose, folders, messages, completion, readme, help_examples)}
