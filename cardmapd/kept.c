/* cardmapd/kept.c - what is kept, as JSON: as the command line's --json has it. */
#include "cardmapd/kept.h"

#include "cardmapd/jobs.h"
#include "service/answer.h"

void
cm_kept_time(json_t *o, const char *key, time_t t)
{
	char text[CM_TIME_SIZE];

	json_object_set_new(o, key, t != 0 ? json_string(cm_clock_text(t, text)) : json_null());
}

static void
set_hex(json_t *o, const char *key, struct cm_blob v)
{
	struct cm_buf hex = { 0 };

	cm_buf_add_hex(&hex, v);
	json_object_set_new(o, key, json_string(cm_buf_str(&hex)));
	cm_buf_free(&hex);
}

json_t *
cm_kept_evidence(const struct cm_evidence *e)
{
	static const char *const words[] = {
		[CM_STATUS_UNKNOWN] = "unknown", [CM_STATUS_GOOD] = "good", [CM_STATUS_REVOKED] = "revoked",
	};
	json_t *o = json_pack("{s:s, s:b, s:b, s:b}", "status", words[e->status], "on_hold", e->on_hold, "by_list", e->by_list,
	    "never_issued", e->revoked_at == CM_NEVER_ISSUED);

	set_hex(o, "issuer_key", (struct cm_blob){ e->issuer_key, sizeof(e->issuer_key) });
	set_hex(o, "serial", (struct cm_blob){ e->serial, e->serial_len });
	cm_answer_set_text(o, "source", e->source);
	cm_answer_set_text(o, "signer", e->signer);
	cm_kept_time(o, "this_update", e->this_update);
	cm_kept_time(o, "next_update", e->next_update);
	cm_kept_time(o, "revoked_at", e->revoked_at != CM_NEVER_ISSUED ? e->revoked_at : 0);
	cm_kept_time(o, "learned", e->learned);
	cm_kept_time(o, "confirmed", e->confirmed);
	return o;
}

static bool
is_revoked(const struct cm_kept *k)
{
	for (size_t i = 0; i < k->evidence_count; i++)
		if (k->evidence[i].status == CM_STATUS_REVOKED)
			return true;
	return false;
}

json_t *
cm_kept_account(const struct cm_kept *k)
{
	json_t *o = json_pack("{s:o, s:b}", "account", cm_answer_account(k->account), "revoked", is_revoked(k));
	json_t *evidence = json_array();
	struct cm_buf der = { 0 };

	cm_kept_time(o, "last_online", k->last_online);
	cm_kept_time(o, "offline_until", is_revoked(k) ? 0 : k->offline_until);
	cm_buf_add_base64(&der, k->cert_der);
	json_object_set_new(o, "certificate", json_string(cm_buf_str(&der)));
	cm_buf_free(&der);
	for (size_t i = 0; i < k->evidence_count; i++)
		json_array_append_new(evidence, cm_kept_evidence(&k->evidence[i]));
	json_object_set_new(o, "evidence", evidence);
	return o;
}

enum cm_err
cm_kept_fail(struct cm_varlink_turn *turn, const struct cm_trace *t)
{
	json_t *o = json_object();

	cm_answer_set_text(o, "reason", cm_reason_name(cm_trace_reason(t)));
	cm_answer_set_text(o, "text", cm_trace_message(t));
	cm_answer_set_text(o, "remedy", cm_reason_remedy(cm_trace_reason(t)));
	return cm_varlink_error(turn, "io.cardmap.Failed", o, cm_deadline_in(CM_JOB_SEND_MS));
}
