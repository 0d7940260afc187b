/* rawcall.h - system calls and a program's start without a libc
 *
 * For one program that is executed for every client: what a libc does before
 * main costs more than all that the program does itself. Include it once, and
 * define raw_main. With HANDOVER_LIBC defined it is an ordinary program: on
 * machines that are not among these, and for the sanitizers.
 */
#ifndef PIPIT_SMTPD_RAWCALL_H
#define PIPIT_SMTPD_RAWCALL_H

#include <sys/syscall.h>

/* The program; returns its exit code. */
static int raw_main(char *const *argv, char *const *envp);

#ifdef HANDOVER_LIBC

#include <errno.h>
#include <unistd.h>

/* Make a system call of at most three arguments: its result, or minus errno. */
static long rawcall(long number, long a, long b, long c)
{
  long r = syscall(number, a, b, c);
  return r == -1 ? -errno : r;
}

int main(int argc, char **argv, char **envp)
{
  (void)argc;
  return raw_main(argv, envp);
}

#else

/* At the start the stack holds argc, argv, NULL, envp, NULL; _start gives its address to
 * raw_start. A call has its number and arguments in these registers; the result is in the
 * first (n) or in the second of them (r1). */
#if defined __x86_64__ && !defined __ILP32__
#define START  "xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call raw_start"
#define CALL   "syscall"
#define NUMBER "rax"
#define RESULT n
#define ARG1   "rdi"
#define ARG2   "rsi"
#define ARG3   "rdx"
#define LOST   , "rcx", "r11"
#elif defined __i386__
#define START  "xor %ebp, %ebp\n mov %esp, %eax\n and $-16, %esp\n sub $12, %esp\n push %eax\n" \
               "call raw_start"
#define CALL   "int $0x80"
#define NUMBER "eax"
#define RESULT n
#define ARG1   "ebx"
#define ARG2   "ecx"
#define ARG3   "edx"
#define LOST
#elif defined __aarch64__
#define START  "mov x29, #0\n mov x30, #0\n mov x0, sp\n bl raw_start"
#define CALL   "svc 0"
#define NUMBER "x8"
#define RESULT r1
#define ARG1   "x0"
#define ARG2   "x1"
#define ARG3   "x2"
#define LOST
#elif defined __arm__ && defined __ARM_EABI__
#define START  "mov fp, #0\n mov lr, #0\n mov r0, sp\n bl raw_start"
#define MODE   ".arm\n" /* the linker knows the way to Thumb */
#define CALL   "svc 0"
#define NUMBER "r7"
#define RESULT r1
#define ARG1   "r0"
#define ARG2   "r1"
#define ARG3   "r2"
#define LOST
#elif defined __riscv && __riscv_xlen == 64
#define START  ".option push\n .option norelax\n lla gp, __global_pointer$\n .option pop\n" \
               "mv a0, sp\n call raw_start"
#define CALL   "ecall"
#define NUMBER "a7"
#define RESULT r1
#define ARG1   "a0"
#define ARG2   "a1"
#define ARG3   "a2"
#define LOST
#else
#error "no system calls for this machine: dir.mk has to define HANDOVER_LIBC for it"
#endif
#ifndef MODE
#define MODE
#endif

__asm__(".text\n" MODE ".globl _start\n.type _start, %function\n_start:\n" START "\n");

/* Make a system call of at most three arguments: its result, or minus errno. */
static inline long rawcall(long number, long a, long b, long c)
{
  register long n __asm__(NUMBER) = number;
  register long r1 __asm__(ARG1) = a;
  register long r2 __asm__(ARG2) = b;
  register long r3 __asm__(ARG3) = c;
  __asm__ volatile(CALL : "+r"(n), "+r"(r1) : "r"(r2), "r"(r3) : "memory" LOST);
  return RESULT;
}

extern void raw_start(long *stack) __attribute__((noreturn, used, visibility("hidden")));
void raw_start(long *stack)
{
  char *const *argv = (char *const *)(stack + 1);
  for (;;) rawcall(SYS_exit, raw_main(argv, argv + stack[0] + 1), 0, 0);
}

#endif
#endif
