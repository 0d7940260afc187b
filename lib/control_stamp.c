/* control_stamp.c - tell whether control files have changed; see control.h */

#include <stdio.h>

#include "control.h"
#include "filestamp.h"
#include "home.h"

uint64_t control_stamp(char const *const *names)
{
  uint64_t stamp = FILESTAMP_START;
  for (size_t i = 0; names[i]; i++) {
    char path[64];
    snprintf(path, sizeof path, "control/%s", names[i]);
    stamp = filestamp_add(stamp, home_fd(), path);
  }
  return stamp;
}
