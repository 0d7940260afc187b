# What checks a password. PAM is used where its headers are, and in this program alone; its modules
# find the rest of libc by themselves.
PROGRAMS += pipit-checkpass
pipit-checkpass_SRCS := $(addprefix auth/,pipit-checkpass.c checkpass-become.c checkpass-pam.c checkpass-scram.c \
  passwd.c scram.c secret.c)
PAM := $(wildcard /usr/include/security/pam_appl.h)
pipit-checkpass_LIBS := -lcrypt -lcrypto $(if $(PAM),-lpam)
$B/auth/checkpass-pam.o: private CC_MORE := $(if $(PAM),-DHAVE_PAM)

PROGRAMS += pipit-authd
pipit-authd_SRCS := $(addprefix auth/,pipit-authd.c authd-answer.c authd-asker.c failures.c limits.c open.c passwd.c seats.c)
t-failures_SRCS := auth/failures.c auth/seats.c
t-limits-login_SRCS := auth/limits.c auth/seats.c

PROGRAMS += pipit-relayopen
pipit-relayopen_SRCS := auth/pipit-relayopen.c
pipit-relayopen_NAMES := pipit-authok
t-scram_SRCS := auth/scram.c auth/secret.c
t-scram_LIBS := -lcrypt -lcrypto
$B/tests/unit/t-scram.o $B/tests/unit/t-failures.o: private CC_MORE := -Iauth
