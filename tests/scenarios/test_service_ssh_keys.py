#!/usr/bin/python3
"""test_service_ssh_keys.py: cardmap ssh-keys as sshd's AuthorizedKeysCommand, and a login by ssh with the key of the card."""
import os
import pwd
import shutil
import sys
import unittest

import scenario
from scenario import PIN, Scenario, Terminal, said

import computer as computer_module
import rig as rig_module
from rig import WORK

MODULE = '/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so'
FOLDER = WORK / 'keys'
COMPUTER = None


class SshKeysTest(Scenario):
    card = 'alice-rsa2048'

    def setUp(self):
        super().setUp()
        own = pwd.getpwnam('_cardmap')
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(mode=0o755)
        shutil.copy(WORK / 'bind.password', FOLDER / 'bind.password')
        os.chown(FOLDER / 'bind.password', 0, own.pw_gid)
        (FOLDER / 'bind.password').chmod(0o640)
        for name in ('root', 'inter'):
            shutil.copy(scenario.RIG.pki / f'{name}.crt', FOLDER)
        self.settings = {'directory.bind_password_file': FOLDER / 'bind.password', 'directory.ca': FOLDER / 'root.crt',
                         'trust.anchors': [FOLDER / 'root.crt'], 'trust.intermediates': [FOLDER / 'inter.crt'], 'trust.level': 'soft'}

    def publish(self, user, *names):
        values = [(scenario.RIG.pki / f'{name}.der').read_bytes() if (scenario.RIG.pki / f'{name}.der').exists() else self.der(name)
                  for name in names]
        self.give(user, **{'userCertificate;binary': values})

    def der(self, name):
        out = self.folder / f'{name}.der'
        said(['openssl', 'x509', '-in', scenario.RIG.pki / f'{name}.crt', '-outform', 'DER', '-out', out])
        return out.read_bytes()

    def keys(self, user, **changes):
        return self.cardmap('ssh-keys', '--config', self.conf(**changes), user).out.splitlines()

    def expected(self, name):
        """As OpenSSH writes it."""
        pem = self.folder / f'{name}.pem'
        pem.write_text(said(['openssl', 'x509', '-in', scenario.RIG.pki / f'{name}.crt', '-noout', '-pubkey']))
        return said(['ssh-keygen', '-i', '-m', 'PKCS8', '-f', pem]).strip()

    def test_keys_are_those_that_openssh_reads_from_the_certificates(self):
        names = ('alice-rsa2048', 'alice-p256', 'alice-p384')
        self.publish('alice', *names)
        self.assertEqual(sorted(self.keys('alice')), sorted(self.expected(name) for name in names))

    def test_only_what_would_open_this_account_by_card(self):
        self.publish('alice', 'bob', 'alice-rsa2048')
        self.assertEqual(self.keys('alice'), [self.expected('alice-rsa2048')])
        self.publish('bob', 'alice-rsa2048')
        self.assertEqual(self.keys('bob'), [])
        self.assertEqual(self.keys('nobody-here'), [])
        self.assertEqual(self.keys('*'), [])
        self.assertEqual(self.keys('alice', trust__level='off'), [])
        self.assertEqual(self.keys('alice', trust__pins='0' * 64), [])

    def test_nobody_says_that_it_is_not_revoked(self):
        self.publish('alice', 'alice-rsa2048')
        scenario.RIG.stop('ocsp', 'http')
        self.assertEqual(self.keys('alice'), [])

    def test_a_revoked_one_is_none(self):
        self.publish('alice', 'alice-rsa2048')
        scenario.RIG.revoke('alice-rsa2048')
        self.assertEqual(self.keys('alice'), [])

    def test_out_of_its_time_it_is_none(self):
        """Of certificates that differ from alice's in their dates alone."""
        self.publish('alice', 'expired', 'notyet', 'alice-rsa2048')
        self.assertEqual(self.keys('alice'), [self.expected('alice-rsa2048')])
        for name in ('expired', 'notyet'):
            self.publish('alice', name)
            self.assertEqual(self.keys('alice'), [])

    def test_a_silent_directory_prints_nothing_and_ends_well(self):
        self.publish('alice', 'alice-rsa2048')
        scenario.RIG.freeze('slapd')
        answer = self.cardmap('ssh-keys', '--config', self.conf(), 'alice')
        scenario.RIG.thaw('slapd')
        self.assertEqual(answer.out, '')
        self.assertIn('directory_offline', answer.err)

    def test_sshd_lets_in_by_the_key_on_the_card_and_by_no_other(self):
        self.publish('alice', 'alice-rsa2048')
        program = FOLDER / 'cardmap'
        shutil.copy(scenario.program(), program)
        command = FOLDER / 'command'
        command.write_text(f'#!/bin/sh\nASAN_OPTIONS=detect_leaks=0 exec {program} ssh-keys --config {FOLDER}/cardmap.conf "$1"\n')
        command.chmod(0o755)
        shutil.copy(self.conf(), FOLDER / 'cardmap.conf')
        (FOLDER / 'cardmap.conf').chmod(0o644)
        # a key of ssh is all that lets in
        (computer_module.ETC / 'pam.d/sshd').write_text('auth required pam_deny.so\naccount required pam_permit.so\nsession required pam_permit.so\n')
        COMPUTER.start_sshd()
        config = WORK / 'ssh/sshd_config'
        text = config.read_text()
        config.write_text(text.replace(f'AuthorizedKeysFile {WORK}/ssh/%u.pub', 'AuthorizedKeysFile none') +
                          f'AuthorizedKeysCommand {command} %u\nAuthorizedKeysCommandUser _cardmap\n')
        scenario.RIG.stop('sshd')
        COMPUTER.start_sshd()
        self.addCleanup(scenario.RIG.stop, 'sshd')

        def log_in():
            terminal = Terminal(['ssh', '-F', 'none', '-p', '2222', '-I', MODULE, '-o', 'StrictHostKeyChecking=no', '-o', 'LogLevel=ERROR',
                                 '-o', f'UserKnownHostsFile={WORK}/ssh/known', '-o', 'PreferredAuthentications=publickey', '-tt',
                                 'alice@127.0.0.1', 'id -un; echo inside'], {**os.environ, **scenario.RIG.environment()})
            self.addCleanup(terminal.kill)
            return terminal
        terminal = log_in()
        terminal.enter(rb'Enter PIN[^\r\n]*: ?$', PIN)
        status, text = terminal.end(scenario.SECONDS)
        self.assertEqual(status, 0, text)
        self.assertRegex(text, r'alice\r?\ninside')
        self.give('alice', **{'userCertificate;binary': []})
        status, text = log_in().end(scenario.SECONDS)
        self.assertNotEqual(status, 0)
        self.assertIn('Permission denied', text)


def main():
    global COMPUTER
    if os.geteuid() != 0:
        print('a computer of its own needs root: [  SKIPPED ]')
        sys.exit(77)
    rig_module.enter()
    scenario.RIG = rig_module.Rig(os.environ['CM_RIG_PKI'], users=20)
    scenario.RIG.start('kdc')
    COMPUTER = computer_module.Computer(scenario.RIG)
    unittest.main(module='__main__', verbosity=2, warnings='ignore')


if __name__ == '__main__':
    main()
