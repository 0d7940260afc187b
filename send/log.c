/* log.c - the log lines of send and its children; see log.h */

#include <errno.h>
#include <string.h>

#include "log.h"
#include "logline.h"

static void unable(char const *how, char const *what, char const *name)
{
  struct logline l = LOGLINE_ZERO;
  char const *error = strerror(errno);
  logline_text(&l, how);
  logline_text(&l, ": unable to ");
  logline_text(&l, what);
  logline_text(&l, " ");
  logline_safe(&l, name, strlen(name));
  logline_key(&l, "error", error);
  logline_write(&l);
}

void log_unable(char const *what, char const *name)
{
  unable("warning", what, name);
}

void log_alert_unable(char const *what, char const *name)
{
  unable("alert", what, name);
}

static void say(char const *how, char const *text)
{
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, how);
  logline_text(&l, text);
  logline_write(&l);
}

void log_warning(char const *text)
{
  say("warning: ", text);
}

void log_alert(char const *text)
{
  say("alert: ", text);
}

void log_trouble(char const *text, uint64_t id)
{
  struct logline l = LOGLINE_ZERO;
  char const *error = strerror(errno);
  logline_text(&l, "warning: ");
  logline_text(&l, text);
  logline_keyn(&l, "id", id);
  logline_key(&l, "error", error);
  logline_write(&l);
}
