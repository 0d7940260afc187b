/* priv.c - give up rights; see priv.h */

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "priv.h"

/* Change to the ids for good; the groups are set already. */
static int change(uid_t uid, gid_t gid)
{
  if (setresgid(gid, gid, gid) == -1) return 0;
  if (setresuid(uid, uid, uid) == -1) return 0;
  uid_t u[3];
  gid_t g[3];
  if (setuid(0) == 0 || getresuid(u, u + 1, u + 2) == -1 || getresgid(g, g + 1, g + 2) == -1) return (errno = EPERM, 0);
  for (int i = 0; i < 3; i++)
    if (u[i] != uid || g[i] != gid) return (errno = EPERM, 0);
  return 1;
}

int priv_drop(uid_t uid, gid_t gid)
{
  if (!uid || !gid) return (errno = EINVAL, 0);
  return setgroups(1, &gid) == 0 && change(uid, gid);
}

int priv_drop_groups(char const *name, uid_t uid, gid_t gid)
{
  if (!uid || !gid) return (errno = EINVAL, 0);
  return initgroups(name, gid) == 0 && change(uid, gid);
}

/* The permitted and the effective capabilities become those of <set>. 1, or 0 with errno. */
static int set_capabilities(uint64_t set)
{
  struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {{0}, {0}};
  struct __user_cap_data_struct now[2];
  for (int i = 0; i < 2; i++)
    data[i].effective = data[i].permitted = (uint32_t)(set >> 32 * i);
  if (syscall(SYS_capset, &head, data) == -1 || syscall(SYS_capget, &head, now) == -1) return 0;
  for (int i = 0; i < 2; i++)
    if (now[i].permitted != data[i].permitted || now[i].effective != data[i].effective)
      return (errno = EPERM, 0);
  return 1;
}

int priv_has(int capability)
{
  struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct now[2];
  return syscall(SYS_capget, &head, now) == 0 &&
         (now[CAP_TO_INDEX(capability)].permitted & CAP_TO_MASK(capability));
}

int priv_drop_keeping(uid_t uid, gid_t gid, int capability)
{
  return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 && priv_drop(uid, gid) &&
         set_capabilities(UINT64_C(1) << capability) && prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) == 0;
}

int priv_drop_capabilities(void)
{
  return set_capabilities(0);
}

int priv_no_new_privs(void)
{
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

static rlim_t memory_before;
static int memory_limited;

int priv_limit_memory(size_t bytes)
{
#ifdef __SANITIZE_ADDRESS__
  (void)bytes;
  return 1;
#else
  struct rlimit r;
  if (getrlimit(RLIMIT_AS, &r) == -1) return 0;
  if (r.rlim_cur != RLIM_INFINITY && r.rlim_cur <= bytes) return 1;
  if (!memory_limited) memory_before = r.rlim_cur;
  memory_limited = 1;
  r.rlim_cur = bytes;
  return setrlimit(RLIMIT_AS, &r) == 0;
#endif
}

void priv_restore_memory(void)
{
  struct rlimit r;
  if (!memory_limited || getrlimit(RLIMIT_AS, &r) == -1) return;
  r.rlim_cur = memory_before;
  setrlimit(RLIMIT_AS, &r);
}
