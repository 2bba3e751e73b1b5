/* tests/service/test_enforcement.c - the five steps: every cell of the table in cardmap-enforcement(7), in every combination. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cache/pairings.h"
#include "service/enforcement.h"
#include "store_folder.h"

/* ---- the table, read from the page */

#define ROWS_MAX	64

static const struct word {
	const char *word;
	enum cm_enforcement_says says;
} words[] = { { "next", CM_SAYS_NOTHING }, { "card", CM_SAYS_CARD }, { "password", CM_SAYS_PASSWORD } };

static struct row {
	char step[16], value[16];
	enum cm_enforcement_says says;
	unsigned used;
} rows[ROWS_MAX];
static size_t row_count;

static struct row *
find_row(const char *step, const char *value)
{
	for (size_t i = 0; i < row_count; i++)
		if (strcmp(rows[i].step, step) == 0 && strcmp(rows[i].value, value) == 0)
			return &rows[i];
	return NULL;
}

/* What follows it. */
static const char *
read_word(const char *line, char word[16])
{
	const size_t before = strspn(line, " "), len = strcspn(line + before, " \n");

	assert_true(len > 0 && len < 16);
	memcpy(word, line + before, len);
	word[len] = '\0';
	return line + before + len;
}

static void
read_row(const char *line)
{
	struct row *r = &rows[row_count];
	char says[16];
	size_t i = 0;

	assert_true(row_count < ROWS_MAX);
	line = read_word(line, r->step);
	line = read_word(line, r->value);
	line = read_word(line, says);
	assert_string_equal(line, "\n");
	while (i < CM_COUNT(words) && strcmp(words[i].word, says) != 0)
		i++;
	assert_true(i < CM_COUNT(words));
	assert_null(find_row(r->step, r->value));
	r->says = words[i].says;
	row_count++;
}

static int
read_page(void **state)
{
	FILE *f = fopen(CM_PAGE, "r");
	char line[256];
	bool inside = false, head = true;

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "; ", 2) == 0)
			inside = strcmp(line, "; begin decisions\n") == 0 || (inside && strcmp(line, "; end decisions\n") != 0);
		else if (inside && line[0] != '`' && !head)
			read_row(line);
		else if (inside && line[0] != '`')
			head = false;
	}
	fclose(f);
	assert_true(row_count > 20);
	return 0;
}

/* ---- every value there may be, and what the page calls it */

#define ATTRIBUTE	"SmartCardEnforcement"
#define GROUP		"Card Exempt"

struct value {
	const char *word;
	struct cm_fact fact;
};
#define VALUE(v, t)	{ CM_FACT_VALUE, v, t }
#define NONE		{ CM_FACT_NONE, 0, "" }
#define UNKNOWN		{ CM_FACT_UNKNOWN, 0, "" }
#define MALFORMED(t)	{ CM_FACT_MALFORMED, 0, t }

static const struct value attributes[] = {
	{ "unknown", UNKNOWN }, { "absent", NONE }, { "malformed", MALFORMED("two") }, { "malformed", MALFORMED("several values") },
	{ "0", VALUE(0, ATTRIBUTE) }, { "1", VALUE(1, "smartcardenforcement") }, { "2", VALUE(2, ATTRIBUTE) },
	{ "3", VALUE(3, ATTRIBUTE) }, { "3", VALUE(UINT32_MAX, ATTRIBUTE) }, { "other", VALUE(2, "employeeType") },
	{ "other", VALUE(0, "") },
};
static const struct value controls[] = {
	{ "unknown", UNKNOWN }, { "absent", NONE }, { "malformed", MALFORMED("") },
	{ "0x200", VALUE(0x200, "userAccountControl") }, { "0x200", VALUE(0, "userAccountControl") },
	{ "0x200", VALUE(0xfffbffff, "userAccountControl") }, { "0x40200", VALUE(0x40200, "userAccountControl") },
	{ "0x40200", VALUE(UINT32_MAX, "userAccountControl") },
};
static const struct value groups[] = {
	{ "unknown", UNKNOWN }, { "absent", NONE }, { "malformed", MALFORMED("in more groups than are looked at") },
	{ "in", VALUE(1, GROUP) }, { "in", VALUE(1, "card exempt") }, { "out", VALUE(0, GROUP) }, { "other", VALUE(1, "Card Exempt 2") },
	{ "unknown", VALUE(2, GROUP) },
};
static const struct value mappings[] = {
	{ "unknown", UNKNOWN }, { "absent", NONE }, { "malformed", MALFORMED("?") }, { "yes", VALUE(1, "altSecurityIdentities") },
	{ "no", VALUE(0, "") }, { "unknown", VALUE(2, "") },
};

/* One way that everything may be. */
struct world {
	const struct value *attribute, *control, *group, *mapped;
	bool local, nowhere, exempt, required, allow_unmapped, has_group, has_attribute;
};

static const char *
word_of(const struct world *w, enum cm_enforcement_step step)
{
	const bool away = w->local || w->nowhere;

	switch (step) {
	case CM_STEP_EXEMPT:
		return w->exempt ? "yes" : "no";
	case CM_STEP_ATTRIBUTE:
		return away ? (w->local ? "local" : "nowhere") : w->has_attribute ? w->attribute->word : "unasked";
	case CM_STEP_CONTROL:
		return away ? (w->local ? "local" : "nowhere") : w->control->word;
	case CM_STEP_GROUP:
		return w->has_group && w->required && w->allow_unmapped ? w->group->word : "unasked";
	case CM_STEP_UNMAPPED:
		return w->required && w->allow_unmapped ? w->mapped->word : "unasked";
	default:
		return w->required ? "yes" : "no";
	}
}

static void
check(const struct world *w)
{
	const struct cm_conf conf = { .enforcement = { .required = w->required, .allow_unmapped_users = w->allow_unmapped,
	    .not_enforced_group = w->has_group ? (char[]){ GROUP } : NULL, .attribute = w->has_attribute ? (char[]){ ATTRIBUTE } : (char[]){ "" } } };
	const struct cm_enforcement_facts facts = { .account = { w->attribute->fact, w->control->fact, w->group->fact, w->mapped->fact, "" },
		.local = w->local, .no_directory = w->nowhere, .exempt = w->exempt };
	struct cm_enforcement_decision d;
	int decided = -1;

	cm_enforcement_decide(&conf, &facts, &d);
	for (int i = 0; i < CM_STEP_COUNT; i++) {
		struct row *r = find_row(cm_enforcement_step_name((enum cm_enforcement_step)i), word_of(w, (enum cm_enforcement_step)i));

		if (r == NULL)
			fail_msg("step %d: no row for %s", i, word_of(w, (enum cm_enforcement_step)i));
		r->used++;
		if (d.steps[i].says != r->says || d.steps[i].reached != (decided < 0) || d.steps[i].value[0] == '\0')
			fail_msg("%s %s: says %d, and the page %d; \"%s\"", r->step, r->value, d.steps[i].says, r->says, d.steps[i].value);
		if (decided < 0 && r->says != CM_SAYS_NOTHING)
			decided = i;
	}
	assert_int_equal(d.step, decided);
	assert_int_equal(d.card_required, d.steps[decided].says == CM_SAYS_CARD);
}

/* Each group with each of the others; what maps an account takes its turn, with each of them too. */
static void
check_groups(struct world *w, size_t turn)
{
	for (w->group = groups; w->group < groups + CM_COUNT(groups); w->group++, turn++) {
		w->mapped = &mappings[turn % CM_COUNT(mappings)];
		check(w);
	}
}

static void
check_settings(struct world *w, size_t turn)
{
	for (unsigned bits = 0; bits < 1u << 7; bits++) {
		w->local = (bits & 1) != 0;
		w->nowhere = (bits & 2) != 0;
		w->exempt = (bits & 4) != 0;
		w->required = (bits & 8) != 0;
		w->allow_unmapped = (bits & 16) != 0;
		w->has_group = (bits & 32) != 0;
		w->has_attribute = (bits & 64) != 0;
		check_groups(w, turn);
	}
}

static void
test_each_cell(void **state)
{
	struct world w;
	size_t turn = 0;

	(void)state;
	for (w.attribute = attributes; w.attribute < attributes + CM_COUNT(attributes); w.attribute++)
		for (w.control = controls; w.control < controls + CM_COUNT(controls); w.control++)
			check_settings(&w, turn++);
	for (size_t i = 0; i < row_count; i++)
		if (rows[i].used == 0)
			fail_msg("nothing comes to %s %s", rows[i].step, rows[i].value);
}

/* Of somebody of whom nothing is known: whatever the configuration is, a card. */
static void
test_nothing_known(void **state)
{
	const struct cm_enforcement_facts nothing = { .kept = 0 };
	struct cm_enforcement_decision d;

	(void)state;
	for (unsigned bits = 0; bits < 4; bits++) {
		const struct cm_conf conf = { .enforcement = { .required = bits & 1, .allow_unmapped_users = bits & 2,
		    .attribute = (char[]){ ATTRIBUTE } } };

		cm_enforcement_decide(&conf, &nothing, &d);
		assert_true(d.card_required);
		assert_int_equal(d.step, CM_STEP_ATTRIBUTE);
	}
}

static void
test_refusal_names_what_stands_there(void **state)
{
	static const struct {
		struct cm_facts facts;
		const char *said;
	} cases[] = {
		{ { VALUE(7, ATTRIBUTE), NONE, NONE, NONE, "" }, "alice must use a card: step 1 (attribute): SmartCardEnforcement is 7" },
		{ { MALFORMED("yes\\x0A"), NONE, NONE, NONE, "" }, "step 1 (attribute): SmartCardEnforcement has no number from 0 to 2, but \"yes\\x0A\"" },
		{ { NONE, MALFORMED("0x40000"), NONE, NONE, "" }, "step 2 (control): userAccountControl is no number, but \"0x40000\"" },
		{ { NONE, VALUE(0x40200, "userAccountControl"), NONE, NONE, "" }, "step 2 (control): 0x40200: SMARTCARD_REQUIRED" },
		{ { NONE, NONE, NONE, NONE, "" }, "step 5 (system): enforcement.required = yes" },
	};
	const struct cm_conf conf = { .enforcement = { .required = true, .attribute = (char[]){ ATTRIBUTE } } };
	struct cm_trace *t = NULL;

	(void)state;
	assert_int_equal(cm_trace_new(&t), CM_OK);
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		const struct cm_enforcement_facts f = { .account = cases[i].facts };
		struct cm_enforcement_decision d;

		cm_enforcement_decide(&conf, &f, &d);
		assert_int_equal(cm_enforcement_judge(&d, "alice", t), CM_ERR_REFUSED);
		assert_int_equal(cm_trace_reason(t), CM_REASON_CARD_REQUIRED);
		if (strstr(cm_trace_message(t), cases[i].said) == NULL)
			fail_msg("\"%s\" has not \"%s\"", cm_trace_message(t), cases[i].said);
	}
	cm_trace_free(&t);
}

/* ---- the way in */

static void
test_exempt(void **state)
{
	char *const none[] = { NULL }, *const root[] = { (char[]){ "root" }, NULL }, *const daemon[] = { (char[]){ "daemon" }, NULL },
	    *const strangers[] = { (char[]){ "nobody-here" }, NULL };
	const struct {
		char *const *list;
		const char *user;
		bool exempt;
	} cases[] = {
		{ NULL, "root", true }, { NULL, "daemon", false }, { none, "root", false }, { root, "root", true }, { root, "daemon", false },
		{ daemon, "daemon", true }, { daemon, "root", false }, { strangers, "nobody-here", false }, { root, "", false },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		const struct cm_conf conf = { .enforcement.exempt = (char **)(uintptr_t)cases[i].list };

		if (cm_enforcement_is_exempt(&conf, cases[i].user) != cases[i].exempt)
			fail_msg("case %zu: %s", i, cases[i].user);
	}
}

/* ---- gathering */

struct fixture {
	struct store_folder in;
	char group[96];
	struct cm_conf conf;
};

static char uri[] = "ldap://127.0.0.1", *uris[] = { uri, NULL };

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	store_folder_open(&f->in);
	snprintf(f->group, sizeof(f->group), "%s/group", f->in.folder);
	f->conf.directory.uri = uris;
	f->conf.enforcement.required = f->conf.enforcement.allow_unmapped_users = true;
	f->conf.enforcement.not_enforced_group = strdup(GROUP);
	f->conf.enforcement.attribute = strdup(ATTRIBUTE);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	free(f->conf.enforcement.not_enforced_group);
	free(f->conf.enforcement.attribute);
	store_folder_close(&f->in);
	free(f);
	return 0;
}

static void
write_group(const struct fixture *f, const char *text)
{
	FILE *file = fopen(f->group, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(f->group, 0644), 0);
}

static struct cm_enforcement_facts
gather(const struct fixture *f, const char *user, const struct cm_facts *said, const struct cm_facts *kept)
{
	const struct cm_enforcement_sources s = { .conf = &f->conf, .store = f->in.store, .said = said, .kept = kept, .at = 1000, .etc = f->in.folder };
	struct cm_enforcement_facts facts;

	assert_int_equal(cm_enforcement_gather(&s, user, f->in.trace, &facts), CM_OK);
	return facts;
}

/* Fact by fact what is said now counts, be it looser; where nothing is, what was said last. */
static void
test_said_and_kept(void **state)
{
	static const struct cm_facts strict = { VALUE(1, ATTRIBUTE), VALUE(0x40200, "userAccountControl"), VALUE(0, GROUP), VALUE(1, "mail"), "" },
	    loose = { VALUE(2, ATTRIBUTE), VALUE(0x200, "userAccountControl"), VALUE(1, GROUP), VALUE(0, ""), "" },
	    half = { NONE, VALUE(0x200, "userAccountControl"), UNKNOWN, UNKNOWN, "" };
	const struct fixture *f = *state;
	struct cm_enforcement_facts g;

	write_group(f, "root:x:0:\n");
	g = gather(f, "alice", &loose, &strict);
	assert_memory_equal(&g.account, &loose, sizeof(loose));
	assert_int_equal(g.kept, 0);
	g = gather(f, "alice", NULL, &strict);
	assert_memory_equal(&g.account, &strict, sizeof(strict));
	assert_int_equal(g.kept, 1000);
	g = gather(f, "alice", &half, &strict);
	assert_int_equal(g.account.attribute.kind, CM_FACT_NONE);
	assert_int_equal(g.account.control.value, 0x200);
	assert_true(cm_fact_equal(&g.account.group, &strict.group) && cm_fact_equal(&g.account.mapped, &strict.mapped));
	g = gather(f, "alice", NULL, NULL);
	assert_int_equal(g.account.attribute.kind, CM_FACT_UNKNOWN);
	assert_int_equal(g.account.mapped.kind, CM_FACT_UNKNOWN);
}

/* A directory says nothing of this computer's accounts, and no exemption comes from it. */
static void
test_local(void **state)
{
	static const struct cm_facts loose = { VALUE(2, ATTRIBUTE), VALUE(0x200, "userAccountControl"), VALUE(1, GROUP), VALUE(0, ""), "" };
	const struct fixture *f = *state;
	struct cm_enforcement_facts g;
	struct cm_enforcement_decision d;

	write_group(f, "root:x:0:\n");
	g = gather(f, "daemon", &loose, &loose);
	assert_true(g.local && !g.exempt);
	assert_int_equal(g.account.attribute.kind, CM_FACT_NONE);
	assert_int_equal(g.account.group.kind, CM_FACT_NONE);
	cm_enforcement_decide(&f->conf, &g, &d);
	assert_int_equal(d.step, CM_STEP_UNMAPPED);
	g = gather(f, "root", NULL, NULL);
	cm_enforcement_decide(&f->conf, &g, &d);
	assert_int_equal(d.step, CM_STEP_EXEMPT);
	assert_false(d.card_required);
}

static void
test_local_group(void **state)
{
	static const struct {
		const char *text, *user;
		bool in;
	} cases[] = {
		{ GROUP ":x:100:daemon\n", "daemon", true },
		{ GROUP ":x:100:bin,daemon\n", "daemon", true },
		{ GROUP ":x:1:\n", "daemon", true },		/* his own */
		{ GROUP ":x:100:daemons\n", "daemon", false },
		{ GROUP " 2:x:100:daemon\n", "daemon", false },
		{ "x:x:100:daemon\n", "daemon", false },
		{ GROUP ":x:100:alice\n", "alice", true },	/* whom a directory has */
		{ GROUP ":x:100:bob\n", "alice", false },
	};
	const struct fixture *f = *state;

	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct cm_enforcement_facts g;

		write_group(f, cases[i].text);
		g = gather(f, cases[i].user, NULL, NULL);
		if ((g.account.group.kind == CM_FACT_VALUE && g.account.group.value == 1) != cases[i].in)
			fail_msg("case %zu", i);
	}
}

/* Who cannot tell who is of this computer knows nothing, and the way in stays. */
static void
test_no_group_file(void **state)
{
	static const struct cm_facts loose = { VALUE(2, ATTRIBUTE), NONE, NONE, NONE, "" };
	const struct fixture *f = *state;
	const struct cm_enforcement_sources s = { .conf = &f->conf, .store = f->in.store, .said = &loose, .etc = f->in.folder };
	struct cm_enforcement_facts g;
	struct cm_enforcement_decision d;

	assert_int_equal(cm_enforcement_gather(&s, "alice", f->in.trace, &g), CM_ERR_SYSTEM);
	cm_enforcement_decide(&f->conf, &g, &d);
	assert_true(d.card_required);
	assert_int_equal(cm_enforcement_gather(&s, "root", f->in.trace, &g), CM_ERR_SYSTEM);
	cm_enforcement_decide(&f->conf, &g, &d);
	assert_false(d.card_required);
}

static void
test_pairing_maps(void **state)
{
	static const struct cm_facts unmapped = { NONE, NONE, NONE, VALUE(0, ""), "" };
	const struct fixture *f = *state;
	const struct cm_pairing p = { .user = (char[]){ "alice" }, .hash = { 1 } };
	struct cm_enforcement_facts g;

	write_group(f, "root:x:0:\n");
	g = gather(f, "alice", &unmapped, NULL);
	assert_int_equal(g.account.mapped.value, 0);
	assert_int_equal(cm_pairings_add(f->in.store, &p, false, f->in.trace), CM_OK);
	g = gather(f, "alice", &unmapped, NULL);
	assert_int_equal(g.account.mapped.value, 1);
	assert_string_equal(g.account.mapped.text, "a pairing");
	g = gather(f, "bob", &unmapped, NULL);
	assert_int_equal(g.account.mapped.value, 0);
}

/* An account that a card opened here with the network has a card, whatever the directory shows of it. */
static void
test_kept_account_maps(void **state)
{
	static const struct cm_facts unmapped = { NONE, NONE, NONE, VALUE(0, ""), "" };
	static char none[] = "", alice[] = "alice", home[] = "/home/alice";
	static const uint8_t link_octets[40] = { 7 };
	const struct fixture *f = *state;
	const struct cm_account a = { .name = alice, .principal = none, .dn = none, .home = home, .shell = none, .gecos = none, .uid = 20001,
		.gid = 20000, .rule = none, .attribute = none, .matched = none, .source = none };
	const struct cm_blob der = cm_blob_str("card"), link = { link_octets, sizeof(link_octets) };
	const time_t now = cm_clock_now();
	const struct cm_remember_apart r = { .account = &a, .certificate = der, .chain = &der, .chain_count = 1,
		.card = { .links = &link, .link_count = 1, .not_after = now + 1000 }, .signed_time = now - 10, .now = now, .account_online = true };

	write_group(f, "root:x:0:\n");
	assert_int_equal(gather(f, "alice", &unmapped, NULL).account.mapped.value, 0);
	assert_int_equal(cm_accounts_remember_apart(f->in.store, &r, f->in.trace), CM_OK);
	assert_int_equal(gather(f, "alice", &unmapped, NULL).account.mapped.value, 1);
	assert_int_equal(gather(f, "EXAMPLE\\alice", &unmapped, NULL).account.mapped.value, 1);
	assert_int_equal(gather(f, "bob", &unmapped, NULL).account.mapped.value, 0);
	assert_int_equal(cm_accounts_forget(f->in.store, "alice", f->in.trace), CM_OK);
	assert_int_equal(gather(f, "alice", &unmapped, NULL).account.mapped.value, 0);
}

/* Whoever is paired, or kept, is so however his name is written: by what it may be short for, and by the account's own that the directory told. */
static void
test_another_spelling_has_a_card_too(void **state)
{
	static const char *const spellings[] = { "EXAMPLE\\alice", "EXAMPLE+alice", "alice@example.org", "EXAMPLE\\alice@example.org" };
	static const struct cm_facts unmapped = { NONE, NONE, NONE, VALUE(0, ""), "" }, named = { NONE, NONE, NONE, VALUE(0, ""), "alice" };
	const struct fixture *f = *state;
	const struct cm_pairing p = { .user = (char[]){ "alice" }, .hash = { 1 } };
	struct cm_facts kept;
	time_t at;

	write_group(f, "root:x:0:\n");
	assert_int_equal(cm_pairings_add(f->in.store, &p, false, f->in.trace), CM_OK);
	for (size_t i = 0; i < CM_COUNT(spellings); i++)
		assert_int_equal(gather(f, spellings[i], &unmapped, NULL).account.mapped.value, 1);
	assert_int_equal(gather(f, "ALICE", &unmapped, NULL).account.mapped.value, 0);
	assert_int_equal(gather(f, "ALICE", &named, NULL).account.mapped.value, 1);
	assert_int_equal(gather(f, "a.example@example.org", &named, NULL).account.mapped.value, 1);
	/* and with the directory away, by what it said of him last */
	assert_int_equal(cm_enforcement_keep(f->in.store, "ALICE", &named, true, f->in.trace), CM_OK);
	assert_int_equal(cm_enforcement_find_kept(f->in.store, "Alice", f->in.trace, &kept, &at), CM_OK);
	assert_string_equal(kept.name, "alice");
	assert_int_equal(gather(f, "Alice", NULL, &kept).account.mapped.value, 1);
	assert_int_equal(gather(f, "EXAMPLE\\bob", &unmapped, NULL).account.mapped.value, 0);
}

static void
test_no_directory(void **state)
{
	static char local[] = "local:", *locals[] = { local, NULL };
	struct fixture *f = *state;
	struct cm_enforcement_facts g;
	struct cm_enforcement_decision d;

	write_group(f, "root:x:0:\n");
	for (int i = 0; i < 2; i++) {
		f->conf.directory.uri = i == 0 ? NULL : locals;
		f->conf.enforcement.required = false;
		g = gather(f, "somebody", NULL, NULL);
		cm_enforcement_decide(&f->conf, &g, &d);
		assert_false(d.card_required);
		assert_int_equal(d.step, CM_STEP_SYSTEM);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_cell),
		cmocka_unit_test(test_nothing_known),
		cmocka_unit_test(test_refusal_names_what_stands_there),
		cmocka_unit_test(test_exempt),
		cmocka_unit_test_setup_teardown(test_said_and_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_local, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_local_group, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_group_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pairing_maps, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_kept_account_maps, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_another_spelling_has_a_card_too, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_directory, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, read_page, NULL);
}
