#!/usr/bin/python3
"""test_service_certificates.py: a card with several certificates: the one that opens the wanted account, else a choice."""
import scenario
import service_scenario
from scenario import PIN, Counts
from computer import LOCAL
from service_scenario import SEEN, ServiceScenario

PROGRAM = str(service_scenario.service_module.HOME / 'bin/cardmap')

# alice's own in 9A, and in 9C, or a retired slot, that of an account beside it
BOTH = 'alice-rsa2048+9c=bob'
ALICE_PROMPT = rb'PIN for Alice Example[^\r\n]*: ?$'
BOB_PROMPT = rb'PIN for Bob Example[^\r\n]*: ?$'
# To see what else a card has: SELECT again, the key history for the retired slots, and each certificate in chunks.
CHUNK, OBJECT_EXTRA = 256, 13
OTHERS = 2
LOGIN = 4  # VERIFY, and GENERAL AUTHENTICATE in three


def chunks(name):
    size = (scenario.RIG.pki / f'{name}.der').stat().st_size + OBJECT_EXTRA
    return -(-size // CHUNK)


class CertificatesScenario(ServiceScenario):
    card = BOTH

    def put(self, spec):
        self.exchange(spec)
        self.wait_card()

    def log_in_as(self, user, prompt=BOB_PROMPT, **inside):
        with Counts() as counts:
            self.check_inside(*self.log_in(user=user, prompt=prompt), user=user, **inside)
        self.assertEqual((counts.verifies(), counts.signatures()), (1, 1), counts.apdus)
        return counts

    def login_without_a_name(self):
        service_scenario.COMPUTER.pam(service_scenario.SERVICE.module, 'allow_missing_name')
        return self.background(['login'])

    def inside(self, terminal, user):
        terminal.expect(rb'\$ ')
        terminal.type(f'{SEEN}; exit\n')
        self.check_inside(*self.ended(terminal), user=user)


class WantedTest(CertificatesScenario):
    """Somebody is named."""
    changes = {'card__slots': ['9c', '82-83']}

    def test_the_first_costs_what_it_did(self):
        self.put(BOTH)
        self.assertEqual(self.log_in_as('alice', ALICE_PROMPT).commands(), LOGIN)

    def test_the_second_is_found_and_kept(self):
        self.put(BOTH)
        counts = self.log_in_as('bob')
        self.assertEqual(counts.commands(), OTHERS + chunks('bob') + LOGIN, counts.apdus)
        sent = [line.split()[1] for line in counts.apdus]
        self.assertEqual(sent[-1 - LOGIN + 2][6:8], '9C', 'the key of its slot signs')
        self.assertEqual([command[2:4] for command in sent[-LOGIN:-1]], ['20', '87', '87'], 'right behind the PIN')
        self.wait_card()
        counts = self.log_in_as('bob')  # now that it is kept, it is not read again
        self.assertEqual(counts.commands(), LOGIN, counts.apdus)
        self.assertEqual(self.kept(), ['bob'])
        self.log_in_as('alice', ALICE_PROMPT)
        self.assertEqual(self.kept(), ['alice', 'bob'])

    def test_a_retired_slot(self):
        self.put('alice-rsa2048+82=bob')
        self.log_in_as('bob')

    def test_nobody_it_opens(self):
        self.put(BOTH)
        with Counts() as counts:
            self.refused('not_this_user', prompt=None, user='erin')
        self.assertEqual((counts.verifies(), counts.signatures()), (0, 0))

    def test_slots_that_are_not_for_this(self):
        self.put('alice-rsa2048+9d=bob+9e=erin+84=erin')  # 84: not among card.slots
        for user in ('bob', 'erin'):
            self.refused('not_this_user', prompt=None, user=user)
        self.again(card__slots=['9a'])
        self.put(BOTH)
        self.refused('not_this_user', prompt=None, user='bob')

    def test_certificates_that_are_not_for_this(self):
        self.put('alice-rsa2048+9c=card-auth+82=wrong-eku')
        self.refused('not_this_user', prompt=None, user='erin')

    def test_offline(self):
        self.put(BOTH)
        self.log_in_as('alice', ALICE_PROMPT)
        self.log_in_as('bob')
        self.drop_tickets()
        scenario.RIG.stop(*scenario.SERVERS)
        self.take_out()
        self.put_in()
        self.wait_card()
        self.log_in_as('bob', ticket=False)
        self.log_in_as('alice', ALICE_PROMPT, ticket=False)

    def test_a_copied_certificate_beside_ones_own(self):
        """bob's public certificate, with a key that is not his."""
        folder = self.card_folder(BOTH)
        (folder / '9c.key').write_bytes((scenario.RIG.pki / 'alice-rsa2048.key').read_bytes())
        self.control(f'swap {folder}')
        self.refused('card_key', user='bob', prompt=BOB_PROMPT)
        self.assertEqual((self.tickets(), self.kept()), ([], []))

    def test_another_persons_certificate_in_a_retired_slot(self):
        """With a key that is not its own; 9A opens its holder's account as ever."""
        folder = self.card_folder('alice-rsa2048+82=bob')
        (folder / '82.key').write_bytes((scenario.RIG.pki / 'alice-rsa2048.key').read_bytes())
        self.control(f'swap {folder}')
        self.wait_card()
        self.refused('card_key', user='bob', prompt=BOB_PROMPT)
        self.assertEqual((self.tickets(), self.kept()), ([], []))
        self.control(f'swap {folder}')  # nothing of the login before goes on: its card is reset when its helper ends
        self.wait_card()
        self.log_in_as('alice', ALICE_PROMPT)

    def test_the_card_authentication_key_lets_nobody_in(self):
        """9E signs without a PIN: whosever certificate stands there, it is not read, and its key not used."""
        self.put('alice-rsa2048+9c=+9e=bob')
        with Counts() as counts:
            self.refused('not_this_user', prompt=None, user='bob')
        self.assertEqual((counts.verifies(), counts.signatures()), (0, 0))
        self.assertNotIn('5FC101', ''.join(counts.apdus).upper())

    def test_a_key_that_only_agrees(self):
        """SP 800-73-4: a retired EC key does ECDH alone. It signs nothing, so nobody comes in by it, and 9A's holder does."""
        self.put('bob+82=alice-p256')
        self.refused('card_key', user='alice', prompt=ALICE_PROMPT)
        self.assertEqual((self.tickets(), self.kept()), ([], []))
        self.put('bob+82=alice-p256')
        self.log_in_as('bob')

    def test_a_kept_one_whose_card_was_issued_anew(self):
        """The key of 9C signs once for a PIN: the card is read when the next is asked for."""
        self.put(BOTH + '+82=erin')
        self.log_in_as('bob')
        folder = self.card_folder('alice-rsa2048+9c=renewed')
        self.control(f'swap {folder}')
        self.wait_card()
        self.log_in_as('bob')  # the same key
        self.put('alice-rsa2048+9c=rekeyed')
        self.refused('card_key', user='bob', prompt=BOB_PROMPT)
        self.wait_card()
        self.put('alice-rsa2048+9c=rekeyed')  # nor is it taken for the one before when it is put in anew
        self.log_in_as('bob')

    def test_a_card_with_a_copied_chuid_costs_its_holder_a_reading(self):
        """Of a card that is taken for a kept one, and has not its key, nothing is left but that the kept one is read once more."""
        self.put(BOTH)
        self.log_in_as('bob')
        copied = self.card_folder(BOTH, conf='#\n')
        (copied / '9c.key').write_bytes((scenario.RIG.pki / 'alice-rsa2048.key').read_bytes())
        self.control(f'swap {copied}')
        self.wait_card()
        self.refused('card_key', user='bob', prompt=BOB_PROMPT)
        self.assertEqual(self.kept(), ['bob'])
        for commands in (OTHERS + chunks('bob') + LOGIN, LOGIN):
            self.put(BOTH)
            self.assertEqual(self.log_in_as('bob').commands(), commands)


class NobodyTest(CertificatesScenario):
    """Nobody is named."""
    def test_the_first_if_it_opens_an_account(self):
        terminal = self.login_without_a_name()
        terminal.enter(ALICE_PROMPT, PIN)
        self.inside(terminal, 'alice')

    def test_else_the_other(self):
        for spec in ('carol+9c=bob', '+9c=bob', 'expired+82=bob'):
            with self.subTest(spec):
                self.put(spec)
                terminal = self.login_without_a_name()
                terminal.enter(BOB_PROMPT, PIN)
                self.inside(terminal, 'bob')

    def test_the_other_is_recognised(self):
        self.put('+9c=bob')
        self.log_in_as('bob')
        self.take_out()
        with Counts() as counts:
            self.put_in()
            self.wait_card()
            self.log_in_as('bob')
        self.assertEqual(counts.commands(), 7, counts.apdus)

    def test_of_several_others_a_choice(self):
        self.put('carol+9c=erin+82=bob')
        terminal = self.login_without_a_name()
        terminal.expect(rb'(?s)1  Erin Example \(erin\), certificate [^\r\n]*Erin[^\r\n]* in slot 9C.*'
                        rb'2  Bob Example \(bob\), certificate [^\r\n]*Bob[^\r\n]* in slot 82.*Which one, 1 to 2: ?$')
        terminal.type('2\n')
        terminal.enter(BOB_PROMPT, PIN)
        self.inside(terminal, 'bob')

    def test_a_revoked_one_ends_it(self):
        self.put('revoked+9c=bob')
        terminal = self.login_without_a_name()
        terminal.expect(rb'\(revoked\)')
        terminal.kill()

    def test_none_opens_any(self):
        self.put('carol+9c=expired')
        with Counts() as counts:
            terminal = self.login_without_a_name()
            terminal.expect(rb'\(no_account\)')  # what the first is refused for
            terminal.kill()
        self.assertEqual(counts.verifies(), 0)


class SlotTest(CertificatesScenario):
    """A slot that the command names."""
    card = 'alice-rsa2048+9c=carol+82=bob+83=wrong-eku'

    def command(self, *arguments, **options):
        return self.cardmap(*arguments, '--json', '--config', service_scenario.service_module.CONF, **options)

    def test_whose_it_is(self):
        with Counts() as counts:
            for command in ('whois', 'explain'):
                self.assertEqual(self.cardmap(command, '--slot', '82', '--json', binary=PROGRAM).account, 'bob', 'by the service')
                self.assertEqual(self.command(command, '--slot', '82').account, 'bob')
                self.assertEqual(self.command(command, '--slot', '9C', status=1).reason, 'no_account')
                self.assertEqual(self.command(command).account, 'alice')
                self.assertEqual(self.command(command, '--slot', '84', status=1).reason, 'card_no_certificate')
                for slot in ('9E', '9D', '96', '8', '9a '):
                    self.command(command, '--slot', slot, status=64)
        self.assertEqual((counts.verifies(), counts.signatures()), (0, 0))

    def test_paired_by_it(self):
        """carol's certificate, which no account has, is in 9C; this computer's lena is paired with its key."""
        with Counts() as counts:
            self.assertEqual(self.command('pair', '--slot', '83', '--local', LOCAL, pin=PIN, status=3).reason, 'cert_usage')
            narrow = ('--set', 'card.slots=82')
            self.assertIn('card.slots', self.command('pair', '--slot', '9C', '--local', *narrow, LOCAL, pin=PIN, status=64).json['message'])
        self.assertEqual(counts.verifies(), 0)
        self.command('pair', '--slot', '9C', '--local', LOCAL, pin=PIN)
        self.put(self.card)
        with Counts() as counts:
            status, text = self.log_in(user=LOCAL, prompt=rb'PIN for [^\r\n]*: ?$')
        self.assertEqual(status, 0, text)
        self.assertIn(f'\n{LOCAL}\n', text)
        self.assertEqual((counts.verifies(), counts.signatures()), (1, 1))
        self.wait_card()
        self.log_in_as('alice', ALICE_PROMPT)


if __name__ == '__main__':
    service_scenario.main()
