/* settings.c - the control files that send itself reads; see settings.h */

#include "control.h"
#include "retry.h"
#include "settings.h"

int settings_load(struct settings *s)
{
  unsigned long local = CONCURRENCY_LOCAL;
  unsigned long remote = CONCURRENCY_REMOTE;
  unsigned long lifetime = RETRY_LIFETIME;
  unsigned long delaywarn = 0;
  if (control_number("concurrencylocal", &local, CONCURRENCY_MAX) == -1) return 0;
  if (control_number("concurrencyremote", &remote, CONCURRENCY_MAX) == -1) return 0;
  if (control_number("queuelifetime", &lifetime, RETRY_LIFETIME_MAX) == -1) return 0;
  if (control_number("delaywarn", &delaywarn, RETRY_LIFETIME_MAX) == -1) return 0;
  s->concurrency[CHANNEL_LOCAL] = (uint32_t)local;
  s->concurrency[CHANNEL_REMOTE] = (uint32_t)remote;
  s->lifetime = (uint32_t)lifetime;
  s->delaywarn = (uint32_t)delaywarn;
  return 1;
}
