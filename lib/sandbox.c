/* sandbox.c - seccomp and Landlock; see sandbox.h */

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "priv.h"
#include "sandbox.h"

#if defined __x86_64__
#define ARCH AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define ARCH AUDIT_ARCH_AARCH64
#elif defined __riscv && __riscv_xlen == 64
#define ARCH AUDIT_ARCH_RISCV64
#elif defined __i386__
#define ARCH AUDIT_ARCH_I386
#elif defined __arm__
#define ARCH AUDIT_ARCH_ARM
#endif

#define FCHMODAT2 452 /* on every architecture; of Linux 6.6, and libc's headers may be older */

#define X32_BIT 0x40000000 /* calls of the x32 ABI carry it: another door to the same calls */

static uint16_t const denied[] = {
  SYS_execve, SYS_execveat, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev,
  SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_unshare, SYS_setns,
  SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup,
  SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_reboot,
  SYS_swapon, SYS_swapoff, SYS_acct, SYS_quotactl, SYS_settimeofday, SYS_clock_settime,
  SYS_sethostname, SYS_setdomainname, SYS_add_key, SYS_request_key, SYS_keyctl,
  SYS_open_by_handle_at, SYS_name_to_handle_at, SYS_mknodat, SYS_personality,
  /* Of what needs no open file, what Landlock does not restrict, or not from the start. */
  SYS_truncate, SYS_fchmodat, SYS_fchownat, FCHMODAT2,
#ifdef SYS_chmod /* where it is not, the others are not either */
  SYS_chmod, SYS_chown, SYS_lchown,
#endif
#ifdef SYS_truncate64
  SYS_truncate64,
#endif
#ifdef SYS_chown32
  SYS_chown32, SYS_lchown32,
#endif
};
#define DENIED (sizeof denied / sizeof *denied)

#ifdef ARCH
/* The program: another architecture or ABI, or a number in the list: EPERM. When
 * it is installed, the kernel would run it for every number that there is, to have
 * the answers ready: 0.1 ms, more than all answers that most processes need. The
 * first operation, which does nothing, is one that it does not do this with. */
static size_t build_filter(struct sock_filter *f)
{
  size_t n = 0;
  f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, 0);
  f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
  f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 0, DENIED + 3);
  f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, DENIED + 1, 0);
  for (size_t i = 0; i < DENIED; i++)
    f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, denied[i],
                                          (uint8_t)(DENIED - i), 0);
  f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
  return n;
}

static int install(struct sock_filter *filter, size_t n)
{
  struct sock_fprog prog = { .len = (unsigned short)n, .filter = filter };
  if (!priv_no_new_privs()) return -1;
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) == 0) return 1;
  return errno == EINVAL || errno == ENOSYS ? 0 : -1;
}

int sandbox_no_exec(void)
{
  struct sock_filter filter[DENIED + 7];
  return install(filter, build_filter(filter));
}

/* Numbers of the x32 ABI are none of those allowed. */
int sandbox_allow_only(int const *calls, size_t n)
{
  struct sock_filter f[SANDBOX_CALLS_MAX + 7] = {
    BPF_STMT(BPF_LD | BPF_IMM, 0), /* as in build_filter */
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
  };
  size_t len = 5;
  if (n > SANDBOX_CALLS_MAX) return (errno = EINVAL, -1);
  for (size_t i = 0; i < n; i++)
    f[len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i],
                                            (uint8_t)(n - i), 0);
  f[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  f[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  return install(f, len);
}
#else
int sandbox_allow_only(int const *calls, size_t n)
{
  (void)calls;
  (void)n;
  return priv_no_new_privs() ? 0 : -1;
}

int sandbox_no_exec(void)
{
  return priv_no_new_privs() ? 0 : -1;
}
#endif

/* Every right of the first Landlock version, and later ones that are of use here. */
#define FIRST_RIGHTS ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
#define REFER        (1ULL << 13) /* second: rename or link from one directory to another */
#define TRUNCATE     (1ULL << 14) /* third */

/* What is given back below paths: to read, and to write. Links, folders, sockets are not made. */
#define READ_RIGHTS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE_RIGHTS                                                              \
  (READ_RIGHTS | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
   LANDLOCK_ACCESS_FS_MAKE_REG | REFER | TRUNCATE)
#define FILE_RIGHTS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | TRUNCATE)

static int cannot(void)
{
  return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : -1;
}

static int add_rule(int ruleset, int fd, uint64_t rights)
{
  struct landlock_path_beneath_attr rule = { .allowed_access = rights, .parent_fd = fd };
  return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
}

/* EINVAL: a plain file, which has no rights of a directory. */
static int allow(int ruleset, int fd, uint64_t rights)
{
  return add_rule(ruleset, fd, rights) ||
         (errno == EINVAL && add_rule(ruleset, fd, rights & FILE_RIGHTS));
}

static int allow_path(int ruleset, char const *path)
{
  int fd = open(path, O_PATH | O_CLOEXEC);
  if (fd == -1) return errno == ENOENT || errno == EACCES;
  int ok = allow(ruleset, fd, READ_RIGHTS);
  int e = errno;
  close(fd);
  errno = e;
  return ok;
}

static int new_ruleset(uint64_t handled)
{
  struct landlock_ruleset_attr attr = { .handled_access_fs = handled };
  return (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
}

/* Make it hold, if all of it is there. 1, or -1 with errno. */
static int enter(int ruleset, int ok)
{
  if (ok) ok = syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
  int e = errno;
  close(ruleset);
  errno = e;
  return ok ? 1 : -1;
}

int sandbox_no_files(void)
{
  if (!priv_no_new_privs()) return -1;
  int ruleset = new_ruleset(FIRST_RIGHTS);
  return ruleset == -1 ? cannot() : enter(ruleset, 1);
}

int sandbox_read_only(char const *const *paths)
{
  if (!priv_no_new_privs()) return -1;
  int ruleset = new_ruleset(FIRST_RIGHTS);
  if (ruleset == -1) return cannot();
  int ok = 1;
  for (; ok && *paths; paths++) ok = allow_path(ruleset, *paths);
  return enter(ruleset, ok);
}

int sandbox_write_below(int const *fds, size_t n)
{
  if (!priv_no_new_privs()) return -1;
  long version = syscall(SYS_landlock_create_ruleset, (void *)0, (size_t)0,
                         LANDLOCK_CREATE_RULESET_VERSION);
  if (version == -1) return cannot();
  if (version == 1) return 0; /* no rename from one directory to another, anywhere */
  uint64_t handled = FIRST_RIGHTS | REFER | (version == 2 ? 0 : TRUNCATE);
  int ruleset = new_ruleset(handled);
  if (ruleset == -1) return -1;
  int ok = 1;
  for (size_t i = 0; ok && i < n; i++)
    if (fds[i] != -1) ok = allow(ruleset, fds[i], WRITE_RIGHTS & handled);
  return enter(ruleset, ok);
}
