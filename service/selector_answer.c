/* service/selector_answer.c - what a selector answered: taken to the letter, or refused. */
#include <stdlib.h>

#include "service/selector_internal.h"

const char *
cm_selector_key_text(const struct cm_selector_key *k, char text[CM_SELECTOR_KEY_SIZE])
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < sizeof(k->sha1); i++) {
		text[2 * i] = digits[k->sha1[i] >> 4];
		text[2 * i + 1] = digits[k->sha1[i] & 15];
	}
	text[CM_SELECTOR_KEY_SIZE - 1] = '\0';
	return text;
}

bool
cm_selector_key_parse(struct cm_blob text, struct cm_selector_key *out)
{
	/* Without the colons and spaces that cm_hex_parse() takes. */
	return text.len == 2 * sizeof(out->sha1) &&
	    cm_hex_parse(text, out->sha1, sizeof(out->sha1)) == text.len;
}

const char *
cm_selector_judge_name(struct cm_blob name)
{
	if (name.len == 0 || name.len > CM_SELECTOR_NAME_MAX)
		return "a user's name has 1 to 255 bytes";
	if (name.ptr[0] == '-')
		return "a user's name does not start with \"-\"";
	if (cm_blob_equal(name, cm_blob_str(".")) || cm_blob_equal(name, cm_blob_str("..")))
		return "a user's name is not \".\" or \"..\"";
	for (size_t i = 0, n; i < name.len; i += n) {
		if (name.ptr[i] == '/')
			return "a user's name holds no \"/\"";
		if ((n = cm_utf8_length(name.ptr + i, name.len - i)) == 0)
			return "a user's name is UTF-8";
		/* U+0000 to U+001F, U+007F, and U+0080 to U+009F, which UTF-8 writes as C2 80 to C2 9F. */
		if (name.ptr[i] < 0x20 || name.ptr[i] == 0x7F ||
		    (name.ptr[i] == 0xC2 && name.ptr[i + 1] < 0xA0))
			return "a user's name holds no control character";
	}
	return NULL;
}

/* One line: *user is borrowed from it, *key the place of its key. */
static const char *
parse_line(struct cm_blob line, const struct cm_selector_key *keys, size_t count, size_t *key,
    struct cm_blob *user)
{
	const uint8_t *tab = line.len > 0 ? memchr(line.ptr, '\t', line.len) : NULL;
	struct cm_selector_key k;

	if (tab == NULL)
		return "expected a hash, a tab and a user's name";
	if (!cm_selector_key_parse((struct cm_blob){ line.ptr, (size_t)(tab - line.ptr) }, &k))
		return "expected a hash of 40 hex digits before the tab";
	*user = (struct cm_blob){ tab + 1, line.len - (size_t)(tab + 1 - line.ptr) };
	for (*key = 0; *key < count; ++*key)
		if (memcmp(keys[*key].sha1, k.sha1, sizeof(k.sha1)) == 0)
			return cm_selector_judge_name(*user);
	return "this hash was not asked about";
}

static const char *
take_line(struct cm_blob line, const struct cm_selector_key *keys, size_t count, char **users)
{
	struct cm_blob user;
	const char *wrong;
	size_t key;

	if ((wrong = parse_line(line, keys, count, &key, &user)) != NULL)
		return wrong;
	if (users[key] != NULL)
		return cm_blob_equal(user, cm_blob_str(users[key])) ? NULL : "the same key has two users";
	users[key] = strndup((const char *)user.ptr, user.len);
	return users[key] != NULL ? NULL : "out of memory";
}

enum cm_err
cm_selector_parse(const char *program, struct cm_blob answer, const struct cm_selector_key *keys,
    size_t count, struct cm_trace *t, char **users)
{
	const char *wrong = NULL;
	unsigned number = 0;

	for (size_t i = 0; i < count; i++)
		users[i] = NULL;
	while (wrong == NULL && answer.len > 0) {
		const uint8_t *end = memchr(answer.ptr, '\n', answer.len);
		const size_t len = end != NULL ? (size_t)(end - answer.ptr) : answer.len;

		number++;
		wrong = take_line((struct cm_blob){ answer.ptr, len }, keys, count, users);
		answer.ptr += len + (end != NULL);
		answer.len -= len + (end != NULL);
	}
	if (wrong == NULL)
		return CM_OK;
	for (size_t i = 0; i < count; i++) {
		free(users[i]);
		users[i] = NULL;
	}
	return cm_trace_fail(t, CM_REASON_SELECTOR, "%s: line %u of its answer: %s", program, number, wrong);
}
