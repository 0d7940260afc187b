/* keeper_hold.c - the keeper changes queue/lock/holds; see keeper.h, hold.h
 *
 * It reads the file for each change, and writes it also when it says so already: a keeper that
 * was killed may not have synced the directory.
 */

#include <errno.h>

#include "hold.h"
#include "keeper.h"
#include "log.h"

static int change(struct keeper *k, char sign, struct selector const *sel)
{
  struct holds h = HOLDS_ZERO;
  if (!holds_read(&h, k->queuefd)) return 0;
  int r = sign == '+' ? holds_add(&h, sel) : holds_remove(&h, sel);
  int ok = r != -1 && holds_write(&h, k->queuefd);
  int e = errno;
  holds_free(&h);
  errno = e;
  return ok;
}

void khold_change(struct keeper *k, char const *data, size_t len)
{
  struct selector sel;
  if (len < 2 || selector_make(&sel, data[1], data + 2, len - 2)) return;
  int ok = change(k, data[0], &sel);
  int e = errno;
  if (!ok) log_unable("write", HOLDS_NAME);
  keeper_answer(k, 'H', ok ? 0 : (uint64_t)e, k->seq);
}
