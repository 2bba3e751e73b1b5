#!/usr/bin/python3
"""lint.py ROOT BUILD CHECK...: what compilers do not check.  Complaints go to standard output; status 1 if there are any.

Without a CHECK: all.  checks_code.py looks at the sources, checks_words.py at what stands about the program in man pages and README.
"""
import sys
from pathlib import Path

import checks_code
import checks_words

CHECKS = {**checks_code.CHECKS, **checks_words.CHECKS}


def main():
    if len(sys.argv) < 3 or set(sys.argv[3:]) - set(CHECKS):
        sys.exit(__doc__ + 'Checks: ' + ', '.join(CHECKS))
    root, build = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    count = 0
    for name in sys.argv[3:] or CHECKS:
        for complaint in CHECKS[name](root, build):
            print(f'{name}: {complaint}')
            count += 1
    print(f'{count} complaint{"" if count == 1 else "s"}')
    sys.exit(1 if count else 0)


if __name__ == '__main__':
    main()
