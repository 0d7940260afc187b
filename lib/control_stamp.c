/* control_stamp.c - tell whether control files have changed; see control.h */

#include <stdio.h>
#include <sys/stat.h>

#include "control.h"
#include "home.h"

/* FNV-1a over what tells one version of a file from another. */
uint64_t control_stamp(char const *const *names)
{
  uint64_t sum = 14695981039346656037u;
  for (size_t i = 0; names[i]; i++) {
    struct stat st;
    char path[64];
    snprintf(path, sizeof path, "control/%s", names[i]);
    int there = fstatat(home_fd(), path, &st, 0) == 0;
    uint64_t const parts[] = { i, (uint64_t)there, there ? st.st_ino : 0,
                               there ? (uint64_t)st.st_size : 0,
                               there ? (uint64_t)st.st_mtim.tv_sec : 0,
                               there ? (uint64_t)st.st_mtim.tv_nsec : 0 };
    for (size_t k = 0; k < sizeof parts / sizeof *parts; k++)
      sum = (sum ^ parts[k]) * 1099511628211u;
  }
  return sum;
}
