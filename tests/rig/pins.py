#!/usr/bin/python3
"""pins.py: the PINs of a test run, and the search for them in everything that it wrote.

  pins.py search --pins FILE FOLDER...   ends with 1, and says where, when a file below a FOLDER holds a PIN named in FILE
  pins.py new                            a PIN that no other run has

A PIN of a run is eight digits by chance, so that it stands nowhere by chance: it counts where no digit is beside it, as
ASCII, as UTF-16, and as hex of its ASCII (what a log of APDUs has).  What holds one on purpose: the folder of a virtual card
(HOLDERS), and the list of the PINs itself.
"""
import argparse
import contextlib
import os
import re
import secrets
import sys
from pathlib import Path

DIGITS = 8
# The PINs that tests in C use where no card of the rig is.  They stand in the sources, so that a run's own are searched with them.
FIXED = ('40718259', '40918273', '81736405', '52640917', '30927461', '49207713', '50318824', '71930264', '71930265')
HOLDERS = ('pin', 'pin.global', 'puk', 'pad.pin', 'rig.pins')
LIST = 'CM_RUN_PINS'  # names a file with those of the run, to which each rig adds its own, for the search at the end
CHUNK = 4 << 20
OVERLAP = 64
ASCII = re.compile(rb'(?<!\d)\d{8}(?!\d)')
FEW = 16
UTF16 = re.compile(rb'(?=((?:\d\0){8}))')
HEX = re.compile(rb'(?=((?:3\d[ :]?){8}))')


def new():
    return str(secrets.randbelow(9 * 10 ** (DIGITS - 1)) + 10 ** (DIGITS - 1))


def of_run(count):
    """The first that the run has for all its rigs: of few, none stands by chance among so many numbers."""
    with contextlib.suppress(KeyError, OSError):
        with open(os.environ[LIST], encoding='ascii') as file:
            if len(given := file.read().split()[:count]) == count:
                return given
    return [new() for _ in range(count)]


def forms(pin):
    yield pin.encode()
    yield pin.encode('utf-16-le')
    for between in ('', ' ', ':'):
        yield (pin.encode().hex(between) if between else pin.encode().hex()).encode()


def in_bytes(data, pins):
    """Those of the pins (a set of texts) that the data holds."""
    if len(pins) <= FEW and not any(form in data for pin in pins for form in forms(pin)):
        return set()
    found = {match[0].decode() for match in ASCII.finditer(data)} & pins
    found |= {match[1][::2].decode() for match in UTF16.finditer(data)} & pins
    return found | {bytes.fromhex(re.sub(rb'[ :]', b'', match[1]).decode()).decode() for match in HEX.finditer(data)} & pins


def extents(file):
    """(start, end) of what is no hole."""
    end = 0
    with contextlib.suppress(OSError):  # ENXIO: nothing behind it
        while True:
            start = os.lseek(file, end, os.SEEK_DATA)
            end = os.lseek(file, start, os.SEEK_HOLE)
            yield start, end


def in_file(path, pins):
    found = set()
    with open(path, 'rb', 0) as file:
        for start, end in extents(file.fileno()):
            for at in range(start, end, CHUNK):
                found |= in_bytes(os.pread(file.fileno(), min(CHUNK + OVERLAP, end - at), at), pins)
    return found


def is_program(path):
    """Its constants are in it.  A core is none (elf(5), e_type)."""
    with open(path, 'rb') as file:
        head = file.read(18)
    return head[:4] == b'\x7fELF' and head[16:18] != b'\4\0'


def is_holder(path):
    """A virtual card's own file, beside its keys, or the list."""
    return path.name in HOLDERS and (path.suffix != '' or path.name in ('pin', 'puk') and (any(path.parent.glob('*.crt')) or (path.parent / 'card.conf').exists()))


def files(folder):
    if os.path.isfile(folder):
        yield Path(folder)
    for top, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not os.path.islink(os.path.join(top, name))]
        for name in names:
            path = Path(top, name)
            try:
                if path.is_file() and not path.is_symlink():
                    yield path
            except OSError:
                continue


def search(folders, pins, newer=0):
    """[(path, PIN)] of all files below the folders, written after that time."""
    found = []
    for folder in folders:
        for path in files(folder):
            try:
                if path.stat().st_mtime >= newer and not is_holder(path) and not is_program(path):
                    found += [(path, pin) for pin in in_file(path, pins)]
            except OSError:  # gone meanwhile, or nobody's to read
                continue
    return found


def note(pins):
    """For the search at the end of the run that this is part of; where that file cannot be written (test_demo), no other can."""
    if LIST in os.environ:
        with contextlib.suppress(OSError), open(os.environ[LIST], 'a', encoding='ascii') as file:
            file.writelines(pin + '\n' for pin in pins)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest='action', required=True)
    actions.add_parser('new')
    searching = actions.add_parser('search')
    searching.add_argument('--pins', type=Path, required=True)
    searching.add_argument('--newer', type=Path, help='only files written after this one')
    searching.add_argument('folders', type=Path, nargs='+')
    asked = parser.parse_args()
    if asked.action == 'new':
        print(new())
        return
    pins = set(asked.pins.read_text(encoding='ascii').split()) | set(FIXED)
    found = search(asked.folders, pins, asked.newer.stat().st_mtime if asked.newer else 0)
    for path, pin in found:
        print(f'{path}: holds the PIN {pin[:2]}......', file=sys.stderr)
    print(f'{len(pins)} PINs searched for: {"found in " + str(len(found)) if found else "in no file"}')
    sys.exit(bool(found))


if __name__ == '__main__':
    main()
