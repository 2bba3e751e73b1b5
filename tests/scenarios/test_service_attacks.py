#!/usr/bin/python3
"""test_service_attacks.py: attacks that hit others, through the service and PAM (test_attack_table.py has all of them)."""
import os
import shutil
import time
import unittest
from pathlib import Path

import scenario
import service_scenario
from scenario import PIN, Counts, wait_until
from service_scenario import ANY_PROMPT, PROMPT, ServiceScenario

import computer as computer_module
import pam
import rig as rig_module
import service as service_module
from computer import LOCAL, PASSWORD
from rig import WORK

GREETER = 'gdm-smartcard'


class AttackScenario(ServiceScenario):
    changes = {'service__wait': 1500}

    def pam(self, user='alice', pin=PIN, service=GREETER, **options):
        """By a program of ours at the seat's greeter; a prompt for a password is answered with root's and lena's."""
        def answer(_style, text):
            return pin if 'PIN' in text else PASSWORD if 'assword' in text else user
        return pam.log_in(service, user, answer, **options)

    def check_out(self, login, reason=''):
        text = '\n'.join(text for _, text in login.said)
        self.assertNotEqual(login.statuses[-1], pam.SUCCESS, text)
        self.assertNotEqual(login.statuses[-1], pam.IGNORE, text)
        if reason:
            self.assertRegex(text, reason)
        self.assertNotIn('assword', text)
        self.assertEqual(self.tickets(), [])

    def log_in_once(self):
        self.check_inside(*self.log_in())
        self.drop_tickets()


class CardTest(AttackScenario):
    def test_a_copied_certificate(self):
        """CVE-2025-24032: the certificate alone, which anybody can read from the card, opens nothing."""
        self.control(f'swap {self.card_folder("alice-rsa2048", key="bob")}')
        self.wait_card()
        for _ in range(2):
            self.check_out(self.pam(), 'card_key')

    def test_a_copied_certificate_of_a_known_card(self):
        """... and no network."""
        self.log_in_once()
        self.control(f'swap {self.card_folder("alice-rsa2048", key="bob")}')
        scenario.RIG.stop('kdc', 'slapd')
        self.wait_card()
        self.check_out(self.pam(), 'card_key')

    def test_a_hostile_card_harms_nobody(self):
        pid = service_scenario.SERVICE.pid
        for fault in ('sw=6f00@insa4', 'one-byte@inscb', 'tlv-huge', 'trailing', 'gzip-bomb', 'overlong@inscb', 'empty', 'truncate',
                      'remove@inscb', 'garbage-signature', 'wrong-key'):
            with self.subTest(fault):
                self.control(f'fault {fault}')
                self.control('remove')
                self.control('insert')
                login = self.pam()
                self.assertNotEqual(login.statuses[-1], pam.SUCCESS, login.said)
                self.put_back()
        self.put_back()
        self.assertEqual(service_scenario.SERVICE.pid, pid)
        self.wait_card()
        self.check_inside(*self.log_in())


class PamTest(AttackScenario):
    def test_no_error_is_ignored(self):
        """CVE-2025-24531: whatever fails, PAM_IGNORE is not what comes of it, and no password is asked."""
        states = {
            'no service': service_scenario.SERVICE.stop,
            'no pcscd': lambda: scenario.RIG.stop('card', 'pcscd'),
            'no resolver': self.break_resolver,
            'no socket': lambda: (service_module.RUN / 'io.cardmap').unlink(),
        }
        for name, spoil in states.items():
            with self.subTest(name):
                service_scenario.SERVICE.stop()
                scenario.RIG.start('pcscd', 'card')
                service_scenario.SERVICE.start()
                spoil()
                self.check_out(self.pam())
                self.check_out(self.pam(user=LOCAL))
        scenario.RIG.start('pcscd', 'card')

    def break_resolver(self):
        for process in service_module.processes():
            if process.name == service_module.RESOLVER:
                os.kill(process.pid, 19)
                self.addCleanup(self.go_on, process.pid)

    @staticmethod
    def go_on(pid):
        try:
            os.kill(pid, 18)
        except ProcessLookupError:
            pass

    def test_a_refusal_is_not_asked_for_a_password(self):
        """The profile's control: success=end ignore=ignore default=die."""
        self.exchange('bob')
        self.wait_card()
        self.check_out(self.pam(), 'not_this_user')
        self.exchange('stranger')
        self.wait_card()
        self.check_out(self.pam(), 'cert_untrusted')

    def test_no_network_is_no_password(self):
        """What a card is required for stays so when nobody can be asked."""
        self.exchange('erin')
        scenario.RIG.stop(*scenario.SERVERS)
        self.take_out()
        self.put_in()
        self.wait_card()
        self.check_out(self.pam('erin'), 'not_kept|directory_offline')
        self.take_out()
        self.check_out(self.pam(LOCAL), 'no_card')

    def test_root_has_a_way_in_by_password(self):
        for spoil in (lambda: None, self.take_out, service_scenario.SERVICE.stop):
            spoil()
            login = self.pam('root')
            self.assertTrue(login.ok, login)
            self.assertNotIn('PIN', str(login.said))


class KerberosTest(AttackScenario):
    def test_a_principal_of_somebody_else(self):
        """CVE-2025-11561: whoever writes the principal in the directory does not become its holder, nor the other way round."""
        self.give('bob', krbPrincipalName='alice@CARDMAP.TEST')
        self.exchange('bob')
        self.wait_card()
        self.check_out(self.pam('bob'), 'kdc_refused|not_vouched|ticket_forged|proof_missing')
        self.check_out(self.pam('alice'), 'not_this_user')

    def test_a_kdc_that_plays_the_real_one(self):
        """It has the realm's name, other keys, and a certificate that a CA of ours issued to a KDC: the keytab opens nothing."""
        folder = WORK / 'kdc'
        kept = WORK / 'kdc.kept'
        keytab = self.folder / 'keytab'
        shutil.copy('/etc/krb5.keytab', keytab)
        scenario.RIG.stop('kdc')
        folder.rename(kept)
        (WORK / 'kdc.prepared').unlink()
        hidden = WORK / 'host.keytab.kept'
        (WORK / 'host.keytab').rename(hidden)

        def back():
            scenario.RIG.stop('kdc')
            shutil.rmtree(folder)
            kept.rename(folder)
            hidden.rename(WORK / 'host.keytab')
            scenario.RIG.start('kdc')
        self.addCleanup(back)
        scenario.RIG.start('kdc')
        shutil.copy(keytab, '/etc/krb5.keytab')
        service_scenario.SERVICE.restart()
        self.wait_card()
        self.check_out(self.pam(), 'ticket_forged|not_vouched')

    def test_without_a_keytab_no_ticket_is_proof(self):
        """... and nobody's word is: the host says which, by a keytab, a pairing, or service.vouch."""
        self.again(kerberos__keytab='/nonexistent')
        self.check_out(self.pam(), 'not_vouched')
        self.again(kerberos__keytab='/nonexistent', service__vouch='resolver')
        with Counts() as counts:
            status, text = self.log_in()
        self.check_inside(status, text)
        self.assertEqual((counts.verifies(), counts.signatures()), (1, 2), 'the ticket, and the nonce')


class TimeTest(AttackScenario):
    def test_a_card_that_was_revoked(self):
        self.log_in_once()
        scenario.RIG.revoke('alice-rsa2048')
        self.again(trust__ask_always='yes')
        self.check_out(self.pam(), 'revoked')
        scenario.RIG.unrevoke('alice-rsa2048')
        scenario.RIG.stop('ocsp', 'http')
        self.again()
        self.check_out(self.pam(), 'revoked')

    def test_a_card_revoked_while_it_was_in(self):
        """An answer that is older than 60 s when the PIN comes is asked again: the card stays in, and the clock goes on."""
        self.again(trust__ask_always='yes')
        scenario.RIG.revoke('alice-rsa2048')
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            login = self.pam()
            if login.statuses[-1] != pam.SUCCESS:
                break
            self.drop_tickets()
            wait_until(service_scenario.SERVICE.is_prepared, 'the card again')
        self.check_out(login, 'revoked')

    def test_a_mapping_that_was_taken_away(self):
        self.log_in_once()
        self.give('alice', altSecurityIdentities=[])
        self.take_out()
        self.put_in()
        self.wait_card()
        self.check_out(self.pam(), 'no_account')
        scenario.RIG.stop('slapd')
        self.take_out()
        self.put_in()
        self.wait_card()
        self.check_out(self.pam(), 'not_kept|no_account|directory_offline')

    def test_only_ldap_blocked(self):
        self.log_in_once()
        scenario.RIG.revoke('alice-rsa2048')
        scenario.RIG.stop('slapd')
        self.again(trust__ask_always='yes')
        self.check_out(self.pam(), 'revoked')


class FileTest(AttackScenario):
    def test_files_that_others_can_write(self):
        for path, mode in ((service_module.CONF, 0o666), (Path('/etc/krb5.keytab'), 0o644), (service_scenario.SERVICE.store.parent, 0o777)):
            with self.subTest(str(path)):
                before = path.stat().st_mode & 0o7777
                service_scenario.SERVICE.stop()
                path.chmod(mode)
                try:
                    service_scenario.SERVICE.start(wait=False)
                    wait_until(lambda: not scenario.RIG.is_running('cardmapd') or service_scenario.SERVICE.is_ready(), 'an end')
                    if scenario.RIG.is_running('cardmapd'):
                        self.check_out(self.pam())
                finally:
                    path.chmod(before)

    def test_names_that_a_local_account_has(self):
        """A directory's account never takes the name or uid of one of this computer's."""
        computer_module.add_lines('passwd', ['bob:x:20002:20002:Local Bob:/home/bob:/bin/bash'])
        self.addCleanup(computer_module.drop_names, 'passwd', {'bob'})
        self.exchange('bob')
        self.wait_card()
        self.check_out(self.pam('bob'), 'local_collision')


if __name__ == '__main__':
    unittest.TestCase.maxDiff = None
    assert ANY_PROMPT and PROMPT and rig_module
    service_scenario.main()
