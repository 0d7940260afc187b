PROGRAMS += pipit-smtpd
pipit-smtpd_SRCS := $(addprefix smtpd/,pipit-smtpd.c access.c auth.c client.c commands.c data.c handed.c \
  listen.c log.c mode.c netlist.c params.c receive.c recipient.c recipient-list.c recipient-program.c \
  recipient-rcptd.c rules.c session.c sessions.c settings.c sockets.c \
  starttls.c stream.c tls.c worker.c) ofmipd/repair.c ofmipd/submission.c pop3/popup.c
pipit-smtpd_NAMES := pipit-ofmipd pipit-popup
# tcpserver starts it for each connection, and loading two libraries is a fifth of what that costs.
pipit-smtpd_LIBS := -Wl,-Bstatic -lcdb -lskarnet -Wl,-Bdynamic

# Executed for each connection too, it does without a libc where rawcall.h knows the system calls:
# one page of code, at a fixed address, because another one would need data that is written. -O1:
# at -O2 a compiler may make a call of memcpy out of a loop.
PROGRAMS += pipit-handover
pipit-handover_SRCS := smtpd/pipit-handover.c
RAWCALL_MACHINES := x86_64 aarch64 arm% riscv64 i386 i486 i586 i686
MACHINE := $(filter-out %x32,$(shell $(CC) -dumpmachine 2>/dev/null))
$B/smtpd/pipit-handover.o: smtpd/dir.mk
ifeq ($(if $(filter 1,$(SANITIZE)),,$(filter $(RAWCALL_MACHINES),$(firstword $(subst -, ,$(MACHINE))))),)
$B/smtpd/pipit-handover.o: private CC_MORE := -DHANDOVER_LIBC
else
$B/smtpd/pipit-handover.o: private CC_MORE := -O1 -ffreestanding -fno-pie -fomit-frame-pointer \
  -fno-stack-protector -fno-asynchronous-unwind-tables -U_FORTIFY_SOURCE
$B/bin/pipit-handover: private LD_MORE := -static -no-pie -nostdlib -nostartfiles
$B/bin/pipit-handover: private LIBS :=
endif

t-data_SRCS := smtpd/data.c
