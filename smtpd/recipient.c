/* recipient.c - is there such a recipient? see recipient.h */

#include <stdio.h>
#include <stdlib.h>

#include "recipient.h"
#include "session.h"

int recipient_runs_program(void)
{
  char const *program = getenv("RCPTCHECK");
  return program && *program;
}

/* The list and pipit-rcptd: either may know a recipient. Who is in another host's mailboxes,
 * only the list can say. */
static enum known look_up(struct session const *s, char const *addr, size_t len)
{
  enum known listed = s->client.relay ? KNOWN_NO_LIST : recipient_in_list(addr, len);
  if (listed != KNOWN_NO_LIST && listed != KNOWN_NOT_LISTED) return listed;
  if (!s->settings->rcptd) return listed == KNOWN_NO_LIST ? KNOWN_YES : KNOWN_NO;
  enum known r = recipient_ask(addr, len);
  /* A user who speaks SMTP by sendmail -bs: as with any message of his, who is not there bounces. */
  if (r == KNOWN_TROUBLE && s->client.relay && recipient_is_closed()) return KNOWN_YES;
  if (r == KNOWN_REMOTE) return listed == KNOWN_NO_LIST ? KNOWN_YES : KNOWN_NO;
  return r;
}

int recipient_check(struct session const *s, char const *addr, size_t len,
                    struct recipient_answer *a)
{
  *a = (struct recipient_answer){ .code = 451, .status = "4.3.0" };
  switch (look_up(s, addr, len)) {
    case KNOWN_YES: break;
    case KNOWN_NO:
      *a = (struct recipient_answer){ .code = 550, .status = "5.1.1", .unknown = 1 };
      snprintf(a->text, sizeof a->text, "sorry, no mailbox here by that name");
      return 0;
    default:
      snprintf(a->text, sizeof a->text, "unable to tell if there is such a mailbox, try again later");
      return 0;
  }
  if (!recipient_runs_program() || (s->client.relay && !getenv("RCPTCHECKRELAYCLIENT"))) return 1;
  return recipient_run(s, addr, len, a);
}
