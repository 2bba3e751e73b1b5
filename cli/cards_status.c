/* cli/cards_status.c - cards status: the drivers, and of each certificate what its key is for and by which hash it is paired. */
#include <dirent.h>
#include <openssl/objects.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/cards.h"
#include "service/disabled.h"
#include "service/selector.h"

#define DRIVERS		"/usr/lib/pcsc/drivers"		/* bundles of readers on USB */
#define READER_CONF	"/etc/reader.conf.d"		/* other readers: reader.conf(5) */
#define CONF_MAX	((size_t)64 << 10)

/* RFC 5280 4.2.1.3, bit 0 first. */
const char *const cm_cli_key_usages[CM_CLI_KEY_USAGES] = { "digitalSignature", "nonRepudiation", "keyEncipherment",
    "dataEncipherment", "keyAgreement", "keyCertSign", "cRLSign", "encipherOnly", "decipherOnly" };

static void
join(struct cm_buf *out, json_t *list, const char *text)
{
	cm_buf_addf(out, "%s%s", out->len > 0 ? ", " : "", text);
	json_array_append_new(list, json_string(text));
}

static void
tell_usage(const struct cm_cli *c, json_t *object, const struct cm_cert *cert)
{
	json_t *list = json_array();
	struct cm_buf text = { 0 };
	unsigned bits = 0;
	size_t count = 0;
	const struct cm_blob *ekus = cm_cert_ekus(cert, &count);

	if (cm_cert_key_usage(cert, &bits))
		for (size_t i = 0; i < CM_CLI_KEY_USAGES; i++)
			if ((bits >> i & 1) != 0)
				join(&text, list, cm_cli_key_usages[i]);
	for (size_t i = 0; i < count; i++) {
		struct cm_buf oid = { 0 };
		int nid;

		cm_cert_oid_text(ekus[i], &oid);
		nid = OBJ_txt2nid(cm_buf_str(&oid));
		join(&text, list, nid != NID_undef ? OBJ_nid2ln(nid) : cm_buf_str(&oid));
		cm_buf_free(&oid);
	}
	cm_cli_line(c, "  usage", "%s", text.len > 0 ? cm_buf_str(&text) : "not limited");
	json_object_set_new(object, "usage", list);
	cm_buf_free(&text);
}

/* As sc_auth(8) prints it, and pair, unpair and identities take it. */
static void
tell_hash(const struct cm_cli *c, json_t *object, const struct cm_cert *cert)
{
	struct cm_selector_key key;
	char hash[CM_SELECTOR_KEY_SIZE];

	cm_key_hash(cert, key.sha1);
	cm_selector_key_text(&key, hash);
	cm_cli_line(c, "  key hash", "%s", hash);
	cm_cli_set(object, "key_hash", hash);
}

void
cm_cli_cards_detail(const struct cm_cli *c, json_t *object, const struct cm_cert *cert)
{
	tell_usage(c, object, cert);
	tell_hash(c, object, cert);
}

/* ---- drivers */

static void
tell_driver(const struct cm_cli *c, json_t *list, const char *text)
{
	cm_cli_line(c, "reader driver", "%s", text);
	json_array_append_new(list, json_string(text));
}

static void
tell_bundles(const struct cm_cli *c, json_t *list)
{
	DIR *dir = opendir(DRIVERS);
	const struct dirent *e;

	while (dir != NULL && (e = readdir(dir)) != NULL) {
		const size_t len = strlen(e->d_name);
		struct cm_buf path = { 0 };

		if (len < 7 || strcmp(e->d_name + len - 7, ".bundle") != 0)
			continue;
		cm_buf_addf(&path, DRIVERS "/%s", e->d_name);
		tell_driver(c, list, cm_buf_str(&path));
		cm_buf_free(&path);
	}
	if (dir != NULL)
		closedir(dir);
}

/* LIBPATH of each file, which is what pcscd loads. */
static void
tell_libraries(const struct cm_cli *c, json_t *list, const char *name)
{
	struct cm_buf path = { 0 }, text = { 0 };
	char *all = NULL, *line;

	cm_buf_addf(&path, READER_CONF "/%s", name);
	if (cm_file_read(cm_buf_str(&path), CONF_MAX, CM_FILE_ANY, c->trace, &text) == CM_OK)
		all = cm_buf_take(&text);
	else
		cm_trace_clear_reason(c->trace);
	for (char *at = all; at != NULL && (line = strsep(&at, "\n")) != NULL;) {
		const char *value = line + strspn(line, " \t");

		if (strncmp(value, "LIBPATH", 7) == 0)
			tell_driver(c, list, value + 7 + strspn(value + 7, " \t"));
	}
	free(all);
	cm_buf_free(&path);
	cm_buf_free(&text);
}

/* module NULL: the one that is built in. */
static void
tell_card_driver(const struct cm_cli *c, json_t *list, const char *name, const char *module)
{
	const bool off = cm_disabled_driver(c->conf, name);
	json_t *object = json_pack("{s:s, s:b}", "name", name, "disabled", off);

	cm_cli_line(c, "card driver", "%s: %s%s", name, module != NULL ? module : "PIV and CAC cards, built in",
	    off ? "; off: card.disabled" : "");
	if (module != NULL)
		cm_cli_set(object, "module", module);
	json_array_append_new(list, object);
}

void
cm_cli_cards_drivers(const struct cm_cli *c)
{
	json_t *readers = json_array(), *cards = json_array();
	DIR *dir = opendir(READER_CONF);
	const struct dirent *e;

	tell_bundles(c, readers);
	while (dir != NULL && (e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.')
			tell_libraries(c, readers, e->d_name);
	if (dir != NULL)
		closedir(dir);
	tell_card_driver(c, cards, "pivtoken", NULL);
	for (char *const *path = c->conf->card.modules; path != NULL && *path != NULL; path++)
		tell_card_driver(c, cards, "pkcs11", *path);
	json_object_set_new(c->answer, "reader_drivers", readers);
	json_object_set_new(c->answer, "card_drivers", cards);
}
