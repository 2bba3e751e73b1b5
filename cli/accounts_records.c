/* cli/accounts_records.c - which files of accounts.userdb are ours: for who takes the package away. */
#include "cli/cli.h"
#include "service/userdb.h"

struct records {
	const struct cm_cli *cli;
	const struct cm_userdb *folder;
	json_t *list;
};

/* What somebody else has changed is not ours any more. */
static enum cm_err
see(void *arg, const struct cm_userdb_mark *m)
{
	const struct records *r = arg;
	const enum cm_userdb_look look = cm_userdb_look(r->folder, m->name, m);
	struct cm_buf path = { 0 };
	enum cm_err err;

	if (look != CM_USERDB_OURS && look != CM_USERDB_CURRENT)
		return CM_OK;
	cm_buf_addf(&path, "%s/%s", r->cli->conf->accounts.userdb, m->name);
	if ((err = cm_buf_status(&path)) == CM_OK) {
		cm_cli_text(r->cli, cm_buf_str(&path));
		json_array_append_new(r->list, json_string(cm_buf_str(&path)));
	}
	cm_buf_free(&path);
	return err;
}

enum cm_err
cm_cli_accounts_records(struct cm_cli *c, const struct cm_host *host)
{
	struct records r = { .cli = c, .list = json_array() };
	struct cm_userdb *folder = NULL;
	bool whole;
	enum cm_err err;

	json_object_set_new(c->answer, "records", r.list);
	if ((err = cm_userdb_open(c->conf->accounts.userdb, c->trace, &folder)) == CM_OK) {
		r.folder = folder;
		err = cm_marks_each(host->accounts, c->trace, &whole, see, &r);
	}
	cm_userdb_close(&folder);
	return err;
}
