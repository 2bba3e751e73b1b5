#!/usr/bin/python3
"""test_journal.py: decisions in the journal: the real systemd-journald takes them, the real journalctl finds them by their fields."""
import json
import os
import socket
import subprocess
import unittest
from pathlib import Path

import scenario
from rig import WORK, wait_until
from scenario import Scenario

JOURNALD = '/lib/systemd/systemd-journald'
SOCKET = Path('/run/systemd/journal/socket')
SECONDS = 30


@unittest.skipIf(os.geteuid() != 0, 'systemd-journald takes root')
class JournalTest(Scenario):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for folder in (SOCKET.parent, Path('/run/log/journal')):
            folder.mkdir(parents=True, exist_ok=True)
        scenario.RIG.launch('journald', [JOURNALD], SOCKET.exists)

    @classmethod
    def tearDownClass(cls):
        scenario.RIG.stop('journald')
        super().tearDownClass()

    def found(self, *match):
        """Entries with these fields, as another program reads them."""
        def read():
            done = subprocess.run(['journalctl', '--directory=/run/log/journal', '--output=json', '--no-pager', '--quiet', *match],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=SECONDS)
            self.entries = [json.loads(line) for line in done.stdout.splitlines()]
            return self.entries
        wait_until(read, f'{match} in the journal')
        return self.entries

    def test_a_login_is_found_by_its_fields(self):
        answer = self.login(more={'service__log': 'syslog'})
        entry = self.found('CARDMAP_USER=alice')[0]
        self.assertEqual(entry['SYSLOG_IDENTIFIER'], 'cardmap')
        self.assertEqual((entry['PRIORITY'], entry['SYSLOG_FACILITY']), ('6', '10'))
        self.assertEqual((entry['CARDMAP_EVENT'], entry['CARDMAP_RESULT'], entry['CARDMAP_UID'], entry['CARDMAP_ONLINE']),
                         ('login', 'ok', '10001', 'yes'))
        self.assertNotIn('CARDMAP_REASON', entry)
        self.assertTrue(entry['MESSAGE'].startswith('login ok: alice (uid 10001) by CN=Alice Example'), entry['MESSAGE'])
        stages = [part.split()[0] for part in entry['CARDMAP_STAGES'].split(', ')]
        self.assertEqual(stages, [stage['stage'] for stage in answer.json['stages']], 'each stage, in order')
        self.assertEqual(entry['_PID'], self.found(f'MESSAGE_ID={entry["MESSAGE_ID"]}', 'CARDMAP_USER=alice')[0]['_PID'])
        self.assertEqual(answer.err, '', 'and nothing is said twice')

    def test_a_refusal_is_found_by_its_reason(self):
        self.login(card='revoked', status=3, reason='revoked', more={'service__log': 'syslog'})
        entry = self.found('CARDMAP_REASON=revoked')[0]
        self.assertEqual((entry['PRIORITY'], entry['CARDMAP_RESULT']), ('5', 'refused'))
        self.assertIn('reason=revoked', entry['MESSAGE'])
        serial = subprocess.run(['openssl', 'x509', '-in', scenario.RIG.pki / 'revoked.pem', '-noout', '-serial'],
                                capture_output=True, text=True, check=True).stdout.strip().split('=')[1].lower()
        self.assertEqual(entry['CARDMAP_SERIAL'].lstrip('0'), serial.lstrip('0'))

    def test_a_name_that_somebody_chose_makes_no_field(self):
        """Who wants to log in says so in his own words."""
        self.login('mallory\nCARDMAP_USER=root\nPRIORITY=0', status=3, reason='not_this_user', more={'service__log': 'syslog'})
        entry = self.found('CARDMAP_REASON=not_this_user')[0]
        self.assertEqual(entry['PRIORITY'], '5')
        self.assertNotEqual(entry.get('CARDMAP_USER'), 'root')
        self.assertNotIn('\n', entry['MESSAGE'])

    def test_a_journal_that_hangs_keeps_nobody_out(self):
        scenario.RIG.freeze('journald')
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as others:
                others.setblocking(False)
                others.connect(str(SOCKET))
                with self.assertRaises(BlockingIOError):
                    for _ in range(100000):
                        others.send(b'MESSAGE=of others\n')
                answer = self.login(more={'service__log': 'syslog'})
        finally:
            scenario.RIG.thaw('journald')
        self.assertEqual(answer.account, 'alice')
        self.assertGreater(answer.seconds, 0.5, 'it was waited for, and given up')

    def test_standard_error_that_is_the_journal_gets_fields(self):
        """As a unit's is: systemd.exec(5), JOURNAL_STREAM."""
        with open(WORK / 'stderr', 'wb') as file:
            stream = os.fstat(file.fileno())
            conf = self.conf(service__log='stderr')
            read, write = os.pipe()
            os.write(write, scenario.PIN.encode() + b'\n')
            os.close(write)
            done = subprocess.run([scenario.program(), 'login', '--pin-fd', str(read), '--config', conf, '--card',
                                   f'file:{scenario.RIG.pki}/bob.pem'], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=file, pass_fds=[read], timeout=SECONDS,
                                  env=self.environment(JOURNAL_STREAM=f'{stream.st_dev}:{stream.st_ino}'))
            os.close(read)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(self.found('CARDMAP_USER=bob')[0]['CARDMAP_RESULT'], 'ok')
        self.assertNotIn('login ok', (WORK / 'stderr').read_text())


if __name__ == '__main__':
    scenario.main()
