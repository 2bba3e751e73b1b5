#!/usr/bin/python3
"""test_attack_table.py: attacks and mistakes that hit others, each with the tests that show it fails here.

Through the service: test_service_*.py.  Below it, where the same code runs: the others.  This test sees that each is there.
"""
import re
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]

ATTACKS = {
    'a copied public certificate without the key (CVE-2025-24032)': [
        'scenarios/test_service_liar.py:test_of_a_copied_certificate', 'scenarios/test_service_attacks.py:test_a_copied_certificate',
        'scenarios/test_attacks.py:test_card_with_another_key', 'card/test_piv_hostile.c:test_copied_certificate_is_refused'],
    'PAM_IGNORE on error (CVE-2025-24531)': [
        'pam/test_peers.py:test_cve_2025_24531', 'pam/test_peers.py:test_every_code', 'pam/test_peers.py:test_each_piece_in_turn',
        'scenarios/test_service_attacks.py:test_no_error_is_ignored', 'scenarios/test_service_login.py:test_no_service_is_no_password'],
    'a client principal that is not the mapped account\'s (CVE-2025-11561)': [
        'scenarios/test_service_liar.py:test_of_bobs_card', 'scenarios/test_service_attacks.py:test_a_principal_of_somebody_else',
        'scenarios/test_attacks.py:test_no_ticket_for_a_principal_that_is_not_the_cards', 'krb5/test_exchange.c:test_reply_for_another_client'],
    'a nonce from the card': ['scenarios/test_attacks.py:test_nonce_is_the_hosts', 'krb5/test_hostcheck.c:test_other_nonce_and_no_whole'],
    'a bind password or PIN in a log': [
        'scenarios/test_service_secrets.py:test_at_every_state_of_a_login', 'scenarios/test_service_secrets.py:test_in_the_journal_and_the_trace',
        'scenarios/test_attacks.py:test_outputs_logs_store_and_ccache'],
    'NUL, BMP, Teletex, overlong and empty field values': [
        'mapper/test_fields.c:attack_nul', 'mapper/test_fields.c:encodings', 'scenarios/test_attacks.py:test_nul_in_the_upn_is_not_its_end'],
    'a field missing so that the format becomes a constant': ['scenarios/test_attacks.py:test_missing_field_makes_no_constant'],
    'a format that two names share': ['scenarios/test_migrate.py:test_one_text_of_two_certificates_is_nobodys'],
    'LDAP filter injection': ['scenarios/test_attacks.py:test_filter_injection', 'ldap/test_directory.c:injection_values_find_nobody'],
    'local store query injection (CVE-2017-12173)': ['scenarios/test_attacks.py:test_local_store_is_not_queried_with_a_name_from_outside'],
    'UPN of another realm': ['scenarios/test_attacks.py:test_upn_of_another_realm_is_not_mapped_by_its_prefix',
                             'mapper/test_rules.c:attack_upn_of_another_realm'],
    'two users on one certificate': ['scenarios/test_service_login.py:test_one_card_of_two_accounts_and_the_name_says_which',
                                     'scenarios/test_attacks.py:test_two_accounts_on_one_certificate'],
    'a mapping deleted, and the cache still admits': ['scenarios/test_service_attacks.py:test_a_mapping_that_was_taken_away',
                                                      'scenarios/test_offline.py:test_mapping_deleted_but_the_cache_still_admits'],
    'KDC spoofing': ['scenarios/test_service_attacks.py:test_a_kdc_that_plays_the_real_one',
                     'scenarios/test_attacks.py:test_a_card_holder_who_plays_the_kdc', 'krb5/test_hostcheck_forged.c:test_ticket_of_others'],
    'mapping to root or a system uid': ['scenarios/test_service_login.py:test_a_card_that_maps_to_root_opens_nothing',
                                        'scenarios/test_attacks.py:test_root_and_system_uids'],
    'Certifried and ESC9/10/14/16': ['scenarios/test_mappings.py:test_another_object_sid_is_not_its_holder',
                                     'scenarios/test_mappings.py:test_a_sid_among_the_alternative_names_counts_only_from_listed_authorities'],
    'OCSP replay': ['scenarios/test_revocation_ocsp.py:test_a_stored_answer_is_replayed'],
    'OCSP signers without the right to': ['scenarios/test_revocation_ocsp.py:test_the_signer_who_may'],
    'responders that are huge, slow or silent': ['scenarios/test_revocation_path.py:test_42_mb', 'scenarios/test_revocation_path.py:test_dripping',
                                                 'scenarios/test_revocation_path.py:test_silent',
                                                 'scenarios/test_service_login.py:test_each_silent_alone_and_all_together'],
    'the hard level with nobody to ask': ['scenarios/test_revoked.py:test_no_aia_and_no_cdp_fails_closed_and_says_what_was_missing'],
    'a revoked serial number forgiven (SSSD#7404)': ['scenarios/test_service_attacks.py:test_a_card_that_was_revoked',
                                                     'scenarios/test_revoked.py:test_list_expires'],
    'an OCSP answer without the nonce, without an end or of another certificate': [
        'scenarios/test_revocation_ocsp.py:test_where_the_nonce_is_missing',
        'scenarios/test_revocation_ocsp.py:test_each_answer_that_does_not_count_has_its_own_name'],
    'a list that is older than the one before': ['scenarios/test_revocation_levels.py:test_a_list_with_a_lower_number'],
    'clock set back': ['scenarios/test_service_clock.py:test_set_back', 'scenarios/test_service_clock.py:test_set_back_while_the_pin_is_asked',
                       'scenarios/test_service_clock.py:test_its_answers', 'scenarios/test_offline.py:test_clock_set_back_below_the_floor'],
    'a home or name with .. or / from the directory': ['scenarios/test_service_liar.py:test_of_bobs_card',
                                                       'scenarios/test_attacks.py:test_home_with_dots'],
    'no search base': ['scenarios/test_attacks.py:test_a_search_base_must_be_given'],
    'an already unlocked card': ['scenarios/test_service_login.py:test_a_card_unlocked_by_another_program_still_asks'],
    'PIN lock-out by retry loops': ['scenarios/test_service_login.py:test_two_wrong_pins_then_nothing_until_it_was_out',
                                    'scenarios/test_service_login.py:test_one_wrong_pin_each_of_two_programs_counts_together',
                                    'scenarios/test_service_login.py:test_the_last_try_is_not_spent_without_saying_so'],
    'a hostile card': ['scenarios/test_service_attacks.py:test_a_hostile_card_harms_nobody', 'card/test_piv_hostile.c:test_hostile_card'],
    'another user spending the tries of the card in the reader': [
        'scenarios/test_service_seat.py:test_a_user_from_elsewhere', 'scenarios/test_service_seat.py:test_another_user_of_this_seat',
        'scenarios/test_service_seat.py:test_a_background_process', 'scenarios/test_service_seat.py:test_pam_rhost',
        'scenarios/test_service_seat.py:test_it_is_nobody_elses'],
    'the PIN sent to a card swapped in after reading': [
        'scenarios/test_service_login.py:test_swapped_while_the_pin_is_asked', 'card/test_piv_hostile.c:test_pin_is_not_sent_to_a_swapped_card'],
    'an answer prepared yesterday': ['scenarios/test_service_clock.py:test_taken_away_meanwhile', 'scenarios/test_service_attacks.py:test_a_card_revoked_while_it_was_in',
                                     'scenarios/test_attacks.py:test_a_card_revoked_while_the_prompt_stood_overnight'],
    'only LDAP blocked so that revocation is skipped': ['scenarios/test_service_attacks.py:test_only_ldap_blocked',
                                                        'scenarios/test_offline.py:test_only_ldap_blocked_does_not_skip_revocation'],
    'a ticket not verified but taken as proof': ['scenarios/test_service_attacks.py:test_without_a_keytab_no_ticket_is_proof',
                                                 'scenarios/test_attacks.py:test_ticket_without_keytab_is_no_proof'],
    'a directory group named sudo or disk, or gid 0': ['scenarios/test_service_liar.py:test_groups_that_a_directory_must_not_hand_out',
                                                       'ldap/test_directory.c:privileged_groups_are_dropped'],
    'enforcement weakened by unplugging the network': ['scenarios/test_service_attacks.py:test_no_network_is_no_password',
                                                            'scenarios/test_service_enforcement.py:test_no_network_changes_nothing'],
    'a PAM stack in which our refusal falls through': [
        'scenarios/test_service_attacks.py:test_a_refusal_is_not_asked_for_a_password', 'pam/test_stacks.py:test_a_refusal_stays_one'],
    'public-key ssh past a disabled account': ['scenarios/test_service_login.py:test_a_public_key_skips_the_card_and_not_the_account'],
    'a resolver taken over': ['scenarios/test_service_liar.py:test_of_bobs_card',
                              'scenarios/test_service_liar.py:test_of_bobs_card_where_alice_is_kept',
                              'scenarios/test_service_liar.py:test_of_cards_that_nobody_should_believe',
                              'scenarios/test_service_liar.py:test_of_a_card_that_is_known_to_be_revoked'],
    'a slow card': ['scenarios/test_attacks.py:test_slow_card_is_given_up', 'card/test_piv_hostile.c:test_slow_card_ends_at_the_deadline'],
    'a card swapped between map and sign': ['scenarios/test_service_login.py:test_swapped_for_the_same_persons_other_card',
                                            'card/test_piv_hostile.c:test_swapped_between_pin_and_signature'],
    'a config or cache file that others can write': ['scenarios/test_service_attacks.py:test_files_that_others_can_write',
                                                     'scenarios/test_attacks.py:test_files_that_others_can_write_decide_nothing'],
    'fuzzed requests to the service\'s socket': ['scenarios/test_service_requests.py:test_random_messages_at_a_running_service',
                                                 'fuzz/fuzz_varlink.c:LLVMFuzzerTestOneInput', 'fuzz/fuzz_message.c:LLVMFuzzerTestOneInput'],
    'another person\'s certificate beside one\'s own': [
        'scenarios/test_service_certificates.py:test_a_copied_certificate_beside_ones_own',
        'scenarios/test_service_certificates.py:test_another_persons_certificate_in_a_retired_slot',
        'scenarios/test_service_certificates.py:test_the_card_authentication_key_lets_nobody_in',
        'scenarios/test_service_certificates.py:test_a_key_that_only_agrees'],
    'a vendor\'s module that hangs, crashes, lies, speaks or was written by others': [
        'scenarios/test_service_tokens.py:test_it_hangs', 'scenarios/test_service_tokens.py:test_it_crashes',
        'scenarios/test_service_tokens.py:test_it_speaks_to_the_daemon', 'scenarios/test_service_tokens.py:test_it_signs_with_another_key',
        'scenarios/test_service_tokens.py:test_others_could_have_written_it', 'helper/test_token.c:test_bad_modules_end_in_a_reason',
        'helper/test_token.c:test_modules_are_roots', 'helper/test_token.c:test_pin_is_for_the_token_that_was_read',
        'fuzz/fuzz_token.c:LLVMFuzzerTestOneInput'],
    'an unanchored regular expression': ['mapper/test_match.c:test_a_nul_in_a_name', 'mapper/test_match.c:test_rules'],
}


class TableTest(unittest.TestCase):
    def test_each_is_there(self):
        for attack, tests in ATTACKS.items():
            for test in tests:
                path, _, name = test.partition(':')
                with self.subTest(f'{attack}: {test}'):
                    text = (TESTS / path).read_text(encoding='utf-8')
                    found = re.search(rf'(?m)^\s*def {re.escape(name)}\(|^{re.escape(name)}\(', text)
                    self.assertTrue(found, f'{path} has no test {name}')


if __name__ == '__main__':
    unittest.main(verbosity=2)
