"""Checks on the code itself.  Each takes the repository's root and yields its complaints, "FILE:LINE: what; remedy"."""
import json
import re
import shlex
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from opens import CALLS, FOLDERS, OPENS
from sources import ARROWS, INSTALLED, PUBLIC, bare, files, functions, line_of, product

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', re.M)


def where(root, path, text, offset):
    return f'{path.relative_to(root)}:{line_of(text, offset)}'


# ---- arrows

def arrows(root, _build):
    """Every #include and every linked library follows the table of folders; only public headers leave their folder."""
    for path in product(root):
        yield from wrong_includes(root, path, path.relative_to(root).parts[0])
    for path in files(root, 'tests', 'bench'):
        yield from wrong_test_includes(root, path)
    for folder, allowed in ARROWS.items():
        path = root / folder / 'CMakeLists.txt'
        for match in re.finditer(r'\bcm_([a-z0-9]+)\b(?!\()', path.read_text() if path.exists() else ''):
            if match[1] in ARROWS and match[1] not in (folder, *allowed):
                yield f'{path.relative_to(root)}: {folder} may not use {match[1]}'


def wrong_includes(root, path, folder):
    text = path.read_text()
    for match in INCLUDE.finditer(text):
        target, at = match[1], where(root, path, text, match.start())
        other = target.split('/')[0]
        if not (root / target).is_file() or '/' not in target:
            yield f'{at}: "{target}": name our headers from the root, FOLDER/NAME.h; the system\'s stand in <>'
        elif other != folder and other not in ARROWS[folder]:
            yield f'{at}: {folder} may not use {other}: see the table of folders in ARCHITECTURE.md'
        elif other != folder and other != 'base' and target not in PUBLIC:
            yield f'{at}: {target} stays inside {other}: what others may use stands in {other}\'s public header'


def wrong_test_includes(root, path):
    """A test may look inside the folder it mirrors, fuzz harnesses and the bench inside any; the rig uses no code of ours."""
    text, folder = path.read_text(), path.parent.name
    for match in INCLUDE.finditer(text):
        other = match[1].split('/')[0]
        if other not in ARROWS:
            continue
        at = where(root, path, text, match.start())
        if folder == 'rig':
            yield f'{at}: the rig stands in for others: it uses no header of ours'
        elif other != 'base' and match[1] not in PUBLIC and folder not in (other, 'fuzz', 'bench'):
            yield f'{at}: {match[1]} is for {other} and tests/{other}'


# ---- headers

def headers(root, build):
    """Every header has its guard and compiles alone, twice, with gcc and with clang."""
    jobs = []
    flags = flags_of_folders(root, build)
    for path in product(root, ends=('.h',)):
        name = path.relative_to(root).as_posix()
        guard = re.sub(r'[/.]', '_', INSTALLED.get(name, f'cm/{name}')).upper()
        if not re.search(rf'^#ifndef {guard}\n#define {guard}$', path.read_text(), re.M):
            yield f'{name}:1: the guard is not {guard}'
        jobs += [(root, name, compiler, flags.get(path.relative_to(root).parts[0], [])) for compiler in ('gcc', 'clang')]
    with ThreadPoolExecutor(2) as pool:
        for complaint in pool.map(lambda job: compile_alone(*job), jobs):
            if complaint:
                yield complaint


def flags_of_folders(root, build):
    """What the build gives each folder's sources, -I and -D only."""
    found = {}
    commands = build / 'compile_commands.json'
    for entry in json.loads(commands.read_text()) if commands.exists() else []:
        path = Path(entry['file'])
        if path.is_relative_to(root):
            words = shlex.split(entry['command'])
            found.setdefault(path.relative_to(root).parts[0], [
                word for i, word in enumerate(words)
                if word.startswith(('-I', '-D')) or word == '-isystem' or words[i - 1] == '-isystem'])
    return found


def compile_alone(root, name, compiler, flags):
    with tempfile.NamedTemporaryFile('w', suffix='.c') as source:
        source.write(f'#include "{name}"\n#include "{name}"\n')
        source.flush()
        command = [compiler, '-std=c11', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror', '-fsyntax-only',
                   '-iquote', str(root), *flags, source.name]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return f'{name}: does not compile alone with {compiler}:\n{done.stderr.rstrip()}' if done.returncode else None


# ---- calls

# Each with what to use.  A new one is one row.
FORBIDDEN = {
    'strcpy': 'struct cm_buf', 'stpcpy': 'struct cm_buf', 'strcat': 'struct cm_buf', 'strncat': 'struct cm_buf',
    'sprintf': 'cm_buf_addf', 'vsprintf': 'cm_buf_addf', 'strtok': 'strchr and memchr', 'strtok_r': 'strchr and memchr',
    'atoi': 'strtoul with its end', 'atol': 'strtoul with its end', 'atoll': 'strtoul with its end',
    'atof': 'strtod with its end', 'sscanf': 'a parser with bounds', 'gets': 'cm_file_read', 'alloca': 'struct cm_buf',
    'tmpnam': 'mkstemp', 'mktemp': 'mkstemp', 'rand': 'RAND_bytes', 'random': 'RAND_bytes',
    'gmtime': 'gmtime_r', 'localtime': 'localtime_r',
}
# Tests start programs of their own choice; the product does not ask a shell or PATH.
FORBIDDEN_PRODUCT = {'system': 'fork and execve', 'popen': 'fork and execve', 'execlp': 'execve', 'execvp': 'execve'}


def calls(root, _build):
    """Functions that style forbids are not called, in product code and in the tests' C."""
    for path in files(root, *ARROWS, 'tests', 'bench'):
        text, there = bare(path.read_text()), FORBIDDEN
        if path.relative_to(root).parts[0] in ARROWS:
            there = FORBIDDEN | FORBIDDEN_PRODUCT
        for match in re.finditer(rf'\b({"|".join(there)})\s*\(', text):
            yield f'{where(root, path, text, match.start())}: {match[1]}() is not used here: use {there[match[1]]}'


# ---- state

# Variables that live outside a context, each for a reason told beside it in the code.
STATE = {('base/conf_parse.c', 'reading'), ('base/trace.c', 'text'), ('cli/pin.c', 'terminal'), ('krb5/module.c', 'current')}
VARIABLE = re.compile(r'^[ \t]*(?:static[ \t]+(?P<local>[^\n(;={]*?)|(?P<file>(?!typedef|struct \w+;|enum\b|extern\b)'
                      r'[a-z][^\n(;={]*?[ *]))(?P<name>\w+)(?:\[[^\n]*\])?[ \t]*(?:=[^\n]*)?;', re.M)
STRUCT = re.compile(r'^static (?:_Thread_local )?(?:struct|union|enum)[^\n;()]*\{\n.*?^\} *\**(?P<name>\w+)', re.M | re.S)


def state(root, _build):
    """No mutable globals: what is static and not const is in the list above, or a mistake."""
    unseen = {(name, variable) for name, variable in STATE if (root / name).exists()}
    for path in product(root, ends=('.c',)):
        text = bare(path.read_text())
        found = [m for m in VARIABLE.finditer(text)
                 if 'const' not in m[0] and (m['local'] is not None or m[0][0] not in ' \t')]
        found += [m for m in STRUCT.finditer(text) if 'const' not in m[0].split('{')[0]]
        for match in found:
            name = path.relative_to(root).as_posix()
            unseen.discard((name, match['name']))
            if (name, match['name']) not in STATE and 'return' not in match[0]:
                yield f'{where(root, path, text, match.start())}: {match["name"]} outlives the call: put it into a context'
    for name, variable in sorted(unseen):
        yield f'{name}: {variable} is gone: take it out of STATE in tests/lint/checks_code.py'


# ---- sizes

FILE_LINES, TEST_FILE_LINES, FUNCTION_LINES, COMMON_LINES = 600, 1000, 100, 60
TABLE = re.compile(r'^\t[^\n]*= \{\n.*?^\t\};\n', re.M | re.S)  # inside a function: no code


def sizes(root, _build):
    """Files below 600 lines, tests with their tables below 1000; no function above 100, 95 of 100 within 60."""
    lengths = []
    for path in files(root, *ARROWS, 'tests', 'bench', ends=('.c', '.h', '.py')):
        text, name = path.read_text(), path.relative_to(root)
        limit = FILE_LINES if name.parts[0] in ARROWS else TEST_FILE_LINES
        if text.count('\n') >= limit:
            yield f'{name}: {text.count(chr(10))} lines: less than {limit} are wanted; find the part that is a thing of its own'
        for function, line, length in functions(TABLE.sub('', bare(text))):
            if name.parts[0] in ARROWS:
                lengths.append(length)
            if length > FUNCTION_LINES:
                yield f'{name}:{line}: {function}() has {length} lines: above {FUNCTION_LINES} it is a redesign'
    lengths.sort()
    if lengths and lengths[len(lengths) * 95 // 100] > COMMON_LINES:
        yield f'the 95th of 100 functions has {lengths[len(lengths) * 95 // 100]} lines: above {COMMON_LINES}'


# ---- definitions

DECLARED = re.compile(r'\b(cm_\w+)\([^;{}]*\)[^;{}()]*(?:CM_PRINTF\([^)]*\))?;')
DEFINED = re.compile(r'^(cm_\w+)\(', re.M)


def definitions(root, _build):
    """What a header declares is defined once, in its folder; what is not static is declared in a header."""
    declared, defined = {}, {}
    for path in product(root, ends=('.h',)):
        text = without_bodies(bare(path.read_text()))
        for match in DECLARED.finditer(text):
            declared.setdefault(match[1], where(root, path, text, match.start()))
    for path in product(root, ends=('.c',)):
        text = bare(path.read_text())
        for name, line, _ in functions(text):
            if name.startswith('cm_'):
                defined.setdefault(name, []).append(f'{path.relative_to(root)}:{line}')
    for name, at in declared.items():
        places = defined.get(name, [])
        if len(places) != 1:
            yield f'{at}: {name}() is defined {len(places)} times {" ".join(places)}'.rstrip()
        elif places[0].split('/')[0] != at.split('/')[0]:
            yield f'{at}: {name}() is defined in {places[0]}, not in its folder'
    for name in defined.keys() - declared.keys():
        yield f'{defined[name][0]}: {name}() stands in no header: declare it, or make it static without cm_'


def without_bodies(text):
    """Declarations only: macros and the bodies of inline functions go."""
    text = re.sub(r'^#(?:[^\n]*\\\n)*[^\n]*', lambda m: '\n' * m[0].count('\n'), text, flags=re.M)
    text = re.sub(r'^static inline.*?^\}', lambda m: '\n' * m[0].count('\n'), text, flags=re.M | re.S)
    return re.sub(r'typedef[^;{}]*;', lambda m: '\n' * m[0].count('\n'), text)


# ---- comments

def comments(root, _build):
    """Every file of C begins with its name and what it is for."""
    for path in files(root, *ARROWS, 'tests', 'bench'):
        name = path.relative_to(root).as_posix()
        if not re.match(rf'/\*\s+(?:\* )?{re.escape(name)} - \S', path.read_text()):
            yield f'{name}:1: begin with /* {name} - what it is for */'


# ---- tests

# Folders that can be tested as a whole only.
WHOLE = {'service': 'scenarios', 'cli': 'scenarios'}


def tests(root, _build):
    """Each folder has tests; each source is built; each fuzz harness has seeds and is run; the presets are there."""
    built = {path: re.sub('#.*', '', path.read_text()) for path in files(root, ends=('CMakeLists.txt',))}
    for folder in ARROWS:
        texts = [built.get(root / 'tests' / name / 'CMakeLists.txt', '') for name in (folder, WHOLE.get(folder, folder))]
        if not any('cm_test(' in text or 'add_test(' in text for text in texts):
            yield f'tests/{folder}/CMakeLists.txt: {folder} has no test'
    for path in files(root, *ARROWS, 'tests', ends=('.c',)):
        if path.parent.name != 'fuzz' and not is_built(path, built.get(path.parent / 'CMakeLists.txt', '')):
            yield f'{path.relative_to(root)}: stands in no CMakeLists.txt'
    yield from fuzz(root, '\n'.join(built.values()))
    presets = {preset['name'] for preset in json.loads((root / 'CMakePresets.json').read_text())['configurePresets']}
    for name in {'dev', 'release', 'fuzz'} - presets:
        yield f'CMakePresets.json: no preset {name}'


def is_built(path, text):
    """By its name, or by the part of it that a foreach() puts into test_${part}.c."""
    part = re.fullmatch(r'test_(\w+)\.c', path.name)
    return path.name in text or bool(part and '${' in text and re.search(rf'\b{part[1]}\b', text))


def fuzz(root, built):
    harnesses = {path.stem.removeprefix('fuzz_') for path in files(root, 'tests/fuzz', ends=('.c',))}
    run = set(re.findall(r'\bcm_fuzz\((\w+)', built)) - {'name'}
    for name in sorted(harnesses ^ run):
        yield f'tests/fuzz/fuzz_{name}.c: ' + ('no cm_fuzz() runs it' if name in harnesses else 'is not there')
    for name in sorted(harnesses):
        if not list(files(root, f'tests/fuzz/seeds/{name}', ends=('',))):
            yield f'tests/fuzz/seeds/{name}: no seeds'


# ---- opens

OPENING = re.compile(rf'(?<![\w>.])(?:{"|".join(CALLS)})[ \t]*\(')


def opens(root, _build):
    """Where privilege is, what is opened or looked at by its name stands in a table that says why that is safe."""
    for path in files(root, *FOLDERS, ends=('.c',)):
        name, text = path.relative_to(root).as_posix(), bare(path.read_text())
        found = [match.start() for match in OPENING.finditer(text)]
        listed = OPENS.get(name, (0, ''))[0]
        if len(found) > listed:
            yield (f'{where(root, path, text, found[-1])}: what decides is read by cm_file_read(), cm_file_hold() or cm_place_open(), which judge '
                   f'what is open; where a name does no harm say so in tests/lint/opens.py (it has {listed} of {len(found)})')
        elif len(found) < listed:
            yield f'{name}:1: tests/lint/opens.py tells of {listed} calls, and it has {len(found)}'


# ---- portable

# Kinds of names, so that this file names none itself: a registry's host, a folder of one person's machine.
REGISTRY = re.compile(r'\b(?:(?:deb|security|archive|registry|proxy|index|static|packages)\.|pypi|npm|crates|rubygems)'
                      r'[a-z0-9-]*\.(?:[a-z0-9-]+\.)?(?:org|com|io|net)\b')
MACHINE = re.compile(r'(?<![\w./$}*-])/(?:work|mnt|Users)/\w|(?<![\w./$}*:-])/root/\w|(?<![\w.$}*-])/home/(?!alice|bob)\w+/\w')
TEXT_MAX = 1 << 20


def portable(root, _build):
    """No host of a package registry, no path of somebody's machine."""
    for path in files(root, ends=('',)):
        data = path.read_bytes()
        if b'\0' in data or len(data) > TEXT_MAX:
            continue
        text = data.decode(errors='replace')
        for pattern, what in ((REGISTRY, "a package registry's host"), (MACHINE, 'a path of one machine')):
            for match in pattern.finditer(text):
                yield f'{where(root, path, text, match.start())}: {match[0]}: {what} has no place here'


CHECKS = {check.__name__: check for check in (
    arrows, headers, calls, state, sizes, definitions, comments, tests, opens, portable)}
