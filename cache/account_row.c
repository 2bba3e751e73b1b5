/* cache/account_row.c - a kept account as it stands in its row: grammar in accounts.c. */
#include <stdlib.h>

#include "cache/accounts_internal.h"

static void
add_be32(struct cm_buf *b, size_t n)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		cm_buf_add_byte(b, (uint8_t)(n >> shift));
}

static uint32_t
be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

void
cm_account_groups_write(const struct cm_account *a, struct cm_buf *out)
{
	for (size_t i = 0; i < a->group_count; i++) {
		if (a->groups[i].local)	/* not the directory's to give: said anew at each login */
			continue;
		add_be32(out, a->groups[i].gid);
		cm_buf_add(out, a->groups[i].name, strlen(a->groups[i].name) + 1);
	}
}

static void
write_blobs(const struct cm_blob *rows, size_t count, struct cm_buf *out)
{
	for (size_t i = 0; i < count; i++) {
		add_be32(out, rows[i].len);
		cm_buf_add_blob(out, rows[i]);
	}
}

/* One group at *at, which moves behind it; the name is borrowed. */
static bool
read_group(struct cm_blob v, size_t *at, struct cm_group *g)
{
	const uint8_t *name, *end;

	if (v.len - *at < 5)
		return false;
	name = v.ptr + *at + 4;
	if ((end = memchr(name, '\0', v.len - *at - 4)) == NULL)
		return false;
	g->gid = be32(v.ptr + *at);
	g->name = (char *)(uintptr_t)name;
	*at = (size_t)(end + 1 - v.ptr);
	return true;
}

bool
cm_account_groups_read(struct cm_blob v, struct cm_account *a)
{
	a->groups = calloc(v.len / 5 + 1, sizeof(*a->groups));
	if (a->groups == NULL)
		return false;
	for (size_t at = 0; at < v.len; a->group_count++)
		if (!read_group(v, &at, &a->groups[a->group_count]))
			return false;
	return true;
}

bool
cm_account_row_chain(struct cm_blob v, struct cm_blob chain[CM_CHAIN_MAX], size_t *count)
{
	*count = 0;
	for (size_t at = 0; at < v.len; (*count)++) {
		if (*count == CM_CHAIN_MAX || v.len - at < 4 || be32(v.ptr + at) > v.len - at - 4)
			return false;
		chain[*count] = (struct cm_blob){ v.ptr + at + 4, be32(v.ptr + at) };
		at += 4 + chain[*count].len;
	}
	return true;
}

void
cm_account_row_clear(struct cm_account_row *r)
{
	free(r->account.groups);
	free(r->attribute);
	r->account.groups = NULL;
	r->attribute = NULL;
}

static char *
text(const struct cm_account_row *r, int column)
{
	return (char *)(uintptr_t)r->v[column].bytes.ptr;
}

/* What was kept before attributes were has none, and no rule leads to it until the next online login. */
static bool
read_matched(struct cm_account_row *r)
{
	const char *matched = text(r, CM_ROW_MATCHED), *equals = strchr(matched, '=');

	r->account.several = equals != NULL && matched[0] == '!';
	matched += r->account.several;
	r->attribute = strndup(matched, equals != NULL ? (size_t)(equals - matched) : 0);
	r->account.attribute = r->attribute;
	r->account.matched = (char *)(uintptr_t)(equals != NULL ? equals + 1 : matched);
	return r->attribute != NULL;
}

/* The kinds of the columns. */
static void
set_kinds(struct cm_column v[CM_ROW_COLUMNS])
{
	static const unsigned blobs = 1u << CM_ROW_CERT_SHA256 | 1u << CM_ROW_CERT | 1u << CM_ROW_GROUPS | 1u << CM_ROW_CHAIN |
	    1u << CM_ROW_GUID | 1u << CM_ROW_KEY | 1u << CM_ROW_LINKS;
	static const unsigned integers = 1u << CM_ROW_UID | 1u << CM_ROW_GID | 1u << CM_ROW_LAST_ONLINE | 1u << CM_ROW_BOOTTIME |
	    1u << CM_ROW_GLOBAL_PIN | 1u << CM_ROW_NOT_AFTER;

	for (unsigned i = 0; i < CM_ROW_COLUMNS; i++)
		v[i].kind = (blobs >> i & 1) != 0 ? CM_VALUE_BLOB : (integers >> i & 1) != 0 ? CM_VALUE_INTEGER : CM_VALUE_TEXT;
}

/* A table of version 2 is there only while it is moved over, or where it could not be: its cards are read anew. */
static bool
get_columns(const struct cm_accounts *s, sqlite3_stmt *q, struct cm_column v[CM_ROW_COLUMNS])
{
	set_kinds(v);
	if (s->version == CM_STORE_VERSION || sqlite3_column_count(q) != CM_ROW_COLUMNS_2 + 1)
		return cm_store_get(q, v, CM_ROW_COLUMNS);
	v[CM_ROW_GUID] = v[CM_ROW_KEY] = v[CM_ROW_LINKS] = cm_value_blob((struct cm_blob){ NULL, 0 });
	v[CM_ROW_GLOBAL_PIN] = v[CM_ROW_NOT_AFTER] = cm_value_int(0);
	return cm_store_get(q, v, CM_ROW_COLUMNS_2);
}

bool
cm_account_row_links(struct cm_blob v, struct cm_blob links[CM_CHAIN_MAX], size_t *count)
{
	if (!cm_account_row_chain(v, links, count))
		return false;
	for (size_t i = 0; i < *count; i++)
		if (links[i].len < 33 || links[i].len > 64)
			return false;
	return true;
}

static bool
is_card(const struct cm_column v[CM_ROW_COLUMNS])
{
	struct cm_blob links[CM_CHAIN_MAX];
	size_t count;

	return (v[CM_ROW_GUID].bytes.len == 0 || v[CM_ROW_GUID].bytes.len == 16) && v[CM_ROW_KEY].bytes.len <= CM_KEPT_KEY_MAX &&
	    v[CM_ROW_NOT_AFTER].n >= 0 && (v[CM_ROW_GLOBAL_PIN].n == 0 || v[CM_ROW_GLOBAL_PIN].n == 1) && cm_account_row_links(v[CM_ROW_LINKS].bytes, links, &count);
}

/* The row is what was once kept, to the last bit, or it is damaged. */
enum cm_err
cm_account_row_read(struct cm_accounts *s, sqlite3_stmt *q, struct cm_trace *t, struct cm_account_row *r)
{
	*r = (struct cm_account_row){ .account = { .group_count = 0 } };
	if (!get_columns(s, q, r->v) || r->v[CM_ROW_CERT_SHA256].bytes.len != 32 ||
	    r->v[CM_ROW_UID].n < 0 || r->v[CM_ROW_UID].n > UINT32_MAX ||
	    r->v[CM_ROW_GID].n < 0 || r->v[CM_ROW_GID].n > UINT32_MAX || !is_card(r->v) ||
	    !cm_account_groups_read(r->v[CM_ROW_GROUPS].bytes, &r->account) || !read_matched(r))
		return cm_store_damaged(s, t, "a kept account");
	r->account.name = text(r, CM_ROW_NAME);
	r->account.principal = text(r, CM_ROW_PRINCIPAL);
	r->account.dn = text(r, CM_ROW_DN);
	r->account.home = text(r, CM_ROW_HOME);
	r->account.shell = text(r, CM_ROW_SHELL);
	r->account.gecos = text(r, CM_ROW_GECOS);
	r->account.uid = (uid_t)r->v[CM_ROW_UID].n;
	r->account.gid = (gid_t)r->v[CM_ROW_GID].n;
	r->account.rule = text(r, CM_ROW_RULE);
	r->account.source = text(r, CM_ROW_SOURCE);
	return CM_OK;
}

/* What a login makes of its row, for one of the two below. */
typedef enum cm_err row_use(struct cm_accounts *s, const struct cm_column row[CM_ROW_COLUMNS], struct cm_trace *t);

static enum cm_err
with_row(struct cm_accounts *s, const struct cm_store_login *l, struct cm_trace *t, row_use *use)
{
	const struct cm_account *a = l->account;
	char boot_id[CM_BOOT_ID_SIZE];
	struct cm_buf groups, chain, links = { 0 }, matched = { 0 };
	enum cm_err err;

	if (cm_clock_boot_id(boot_id) != CM_OK)
		boot_id[0] = '\0';	/* then only the wall clock tells the age */
	cm_buf_init(&groups, 0);
	cm_buf_init(&chain, 0);
	cm_account_groups_write(a, &groups);
	write_blobs(l->chain, l->chain_count, &chain);
	write_blobs(l->card.links, l->card.link_count, &links);
	cm_buf_addf(&matched, "%s%s=%s", a->several ? "!" : "", a->attribute, a->matched);
	if ((err = cm_buf_status(&groups)) == CM_OK && (err = cm_buf_status(&chain)) == CM_OK &&
	    (err = cm_buf_status(&links)) == CM_OK && (err = cm_buf_status(&matched)) == CM_OK) {
		const struct cm_column row[CM_ROW_COLUMNS] = {
			[CM_ROW_CERT_SHA256] = cm_value_blob(l->cert_sha256),
			[CM_ROW_CERT] = cm_value_blob(l->cert_der),
			[CM_ROW_NAME] = cm_value_text(a->name), [CM_ROW_PRINCIPAL] = cm_value_text(a->principal),
			[CM_ROW_DN] = cm_value_text(a->dn), [CM_ROW_HOME] = cm_value_text(a->home),
			[CM_ROW_SHELL] = cm_value_text(a->shell), [CM_ROW_GECOS] = cm_value_text(a->gecos),
			[CM_ROW_UID] = cm_value_int(a->uid), [CM_ROW_GID] = cm_value_int(a->gid),
			[CM_ROW_GROUPS] = cm_value_blob(cm_buf_blob(&groups)),
			[CM_ROW_RULE] = cm_value_text(a->rule), [CM_ROW_MATCHED] = cm_value_text(cm_buf_str(&matched)),
			[CM_ROW_SOURCE] = cm_value_text(a->source), [CM_ROW_CHAIN] = cm_value_blob(cm_buf_blob(&chain)),
			[CM_ROW_LAST_ONLINE] = cm_value_int(l->now),
			[CM_ROW_BOOTTIME] = cm_value_int(cm_clock_boottime()),
			[CM_ROW_BOOT_ID] = cm_value_text(boot_id),
			[CM_ROW_GUID] = cm_value_blob(l->card.guid), [CM_ROW_GLOBAL_PIN] = cm_value_int(l->card.global_pin),
			[CM_ROW_KEY] = cm_value_blob(l->card.key), [CM_ROW_LINKS] = cm_value_blob(cm_buf_blob(&links)),
			[CM_ROW_NOT_AFTER] = cm_value_int(l->card.not_after),
		};

		err = use(s, row, t);
	}
	cm_buf_free(&groups);
	cm_buf_free(&chain);
	cm_buf_free(&links);
	cm_buf_free(&matched);
	return err;
}

static enum cm_err
put_row(struct cm_accounts *s, const struct cm_column row[CM_ROW_COLUMNS], struct cm_trace *t)
{
	return cm_store_put(s, "account", row, CM_ROW_COLUMNS, t);
}

enum cm_err
cm_account_row_put(struct cm_accounts *s, const struct cm_store_login *l, struct cm_trace *t)
{
	return with_row(s, l, t, put_row);
}

/* Times aside, which may not be long ago. */
static bool
is_same(const struct cm_column kept[CM_ROW_COLUMNS], const struct cm_column row[CM_ROW_COLUMNS])
{
	static const unsigned times = 1u << CM_ROW_LAST_ONLINE | 1u << CM_ROW_BOOTTIME | 1u << CM_ROW_BOOT_ID;
	const int64_t age = row[CM_ROW_LAST_ONLINE].n - kept[CM_ROW_LAST_ONLINE].n;

	for (unsigned i = 0; i < CM_ROW_COLUMNS; i++)
		if ((times >> i & 1) == 0 && (row[i].kind == CM_VALUE_INTEGER ? row[i].n != kept[i].n :
		    !cm_blob_equal(row[i].bytes, kept[i].bytes)))
			return false;
	return age >= 0 && age < CM_REFRESH_MAX;
}

static enum cm_err
compare_row(struct cm_accounts *s, const struct cm_column row[CM_ROW_COLUMNS], struct cm_trace *t)
{
	struct cm_column kept[CM_ROW_COLUMNS];
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	if ((err = cm_store_prepare(s, "SELECT * FROM account WHERE cert_sha256 = ?1", &row[CM_ROW_CERT_SHA256], 1, t, &q)) == CM_OK &&
	    (err = cm_store_step(s, q, t)) == CM_OK)
		err = get_columns(s, q, kept) && is_same(kept, row) ? CM_OK : CM_ERR_ABSENT;
	sqlite3_finalize(q);
	return err;
}

bool
cm_account_row_is_kept(struct cm_accounts *s, const struct cm_store_login *l)
{
	return s->version == CM_STORE_VERSION && with_row(s, l, NULL, compare_row) == CM_OK;
}

/* What was whole gets a digest over its new columns; s is of the version before. */
enum cm_err
cm_account_row_move(struct cm_accounts *s, sqlite3_stmt *q, struct cm_trace *t)
{
	struct cm_column v[CM_ROW_COLUMNS];

	return get_columns(s, q, v) ? cm_store_put(s, "account", v, CM_ROW_COLUMNS, t) : CM_OK;
}
