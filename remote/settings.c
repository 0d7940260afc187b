/* settings.c - read the control files of a remote delivery; see settings.h */

#include "control.h"
#include "limits.h"
#include "settings.h"

#define TIMEOUT_MAX  86400 /* seconds */
#define MESSAGES_MOST 1000000

static char const *why;

char const *settings_why(void)
{
  return why;
}

/* A host name to send: printable, without spaces. */
static int sendable(stralloc const *name)
{
  for (size_t i = 0; i < name->len; i++)
    if (name->s[i] <= 32 || name->s[i] > 126) return 0;
  return name->len > 0;
}

int settings_load(struct settings *s)
{
  s->timeoutconnect = TIMEOUT_CONNECT;
  s->timeoutremote = TIMEOUT_REMOTE;
  s->idle = IDLE_SECONDS;
  s->messages = MESSAGES_MAX;
  if (control_line_or_me("me", &s->me) != 1 || control_line_or_me("helohost", &s->helo) != 1 ||
      control_number("timeoutconnect", &s->timeoutconnect, TIMEOUT_MAX) == -1 ||
      control_number("timeoutremote", &s->timeoutremote, TIMEOUT_MAX) == -1 ||
      control_number("connectionidle", &s->idle, IDLE_MAX) == -1 ||
      control_number("connectionmessages", &s->messages, MESSAGES_MOST) == -1 ||
      (!s->messages && control_bad("connectionmessages", "write a whole number from 1 on") == -1)) {
    why = control_why();
    return 0;
  }
  why = "control/helohost: not a host name";
  return sendable(&s->helo);
}

unsigned int settings_stage(struct settings const *s, unsigned int stage)
{
  return s->timeoutremote < stage ? (unsigned int)s->timeoutremote : stage;
}
