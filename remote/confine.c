/* confine.c - lock away what a delivery has no use for; see confine.h */

#include <stddef.h>
#include <stdio.h>

#include "confine.h"
#include "home.h"
#include "priv.h"
#include "sandbox.h"

#define MEMORY_MAX ((size_t)64 << 20) /* bytes of address space */
#define PATH_ROOM  4096

char const *confine(void)
{
  char control[PATH_ROOM];
  char const *paths[] = {
    control, "/etc", "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", 0
  };
  snprintf(control, sizeof control, "%s/control", home_dir());
  if (!priv_limit_memory(MEMORY_MAX)) return "limit memory";
  if (home_fd() == -1) return "open the home";
  if (sandbox_read_only(paths) == -1) return "restrict files";
  return sandbox_no_exec() == -1 ? "restrict system calls" : 0;
}
