/* qreceipt.c - answer a request for a notice of delivery
 *
 * usage: qreceipt address
 *
 * A message whose field Notice-Requested-Upon-Delivery-To names <address> is
 * answered to SENDER; from nobody, so that the answer itself is never answered.
 *
 * exit: 0 answered, or there was nothing to answer; 100 wrong usage, 111 try later.
 */

#include <string.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/strerr.h>

#include "addrlist.h"
#include "header.h"
#include "helper.h"
#include "mailhead.h"
#include "program.h"
#include "word.h"

struct request {
  char const *address;
  int asked;
};

static int is_asked(void *data, struct addrlist_addr const *a)
{
  struct request *r = data;
  size_t len = strlen(r->address);
  if (len == a->len && !memcmp(a->s, r->address, len)) r->asked = 1;
  return 1;
}

static void add(stralloc *out, char const *s)
{
  helper_add(out, s, strlen(s));
}

static void add_address(stralloc *out, char const *before, char const *address)
{
  add(out, before);
  if (!addrlist_quote(out, address, strlen(address))) helper_nomem();
  add(out, ">\n");
}

static void answer(char const *address, char const *sender, struct mailhead const *m)
{
  stralloc text = STRALLOC_ZERO;
  queue_stamp(&text);
  add_address(&text, "From: DELIVERY NOTICE SYSTEM <", address);
  add_address(&text, "To: <", sender);
  add(&text, "Subject: success notice\nAuto-Submitted: auto-replied\n");
  mailhead_add_references(&text, m);
  add(&text, "\nHi. This is the qreceipt program. Your message has arrived at the address\n");
  add(&text, address);
  add(&text, "\nas you asked to be told.\n");
  if (m->id.len) {
    add(&text, "\nMessage-ID: ");
    helper_add(&text, m->id.s, m->id.len);
    add(&text, "\n");
  }
  queue_say(queue_notice(&text, sender));
}

int qreceipt_main(int argc, char const *const *argv)
{
  struct mailhead m = MAILHEAD_ZERO;
  struct header_field f;
  if (argc != 2) strerr_dieusage(EXIT_PERMANENT, "qreceipt address");
  struct request r = {.address = argv[1]};
  char const *sender = helper_env("SENDER");
  mailhead_read(&m);
  for (size_t pos = 0; header_next(m.text.s, m.text.len, &pos, &f);)
    if (word_is(f.s, f.namelen, "Notice-Requested-Upon-Delivery-To"))
      addrlist_parse(f.s + f.value, f.len - f.value, is_asked, &r);
  if (r.asked && *sender && strcmp(sender, "#@[]")) answer(r.address, sender, &m);
  return 0;
}
