# What checks a password, and what makes one. PAM is used where its headers are, and in this program
# alone; its modules find the rest of libc by themselves.
PROGRAMS += pipit-checkpass
pipit-checkpass_NAMES := pipit-passwd
pipit-checkpass_SRCS := $(addprefix auth/,pipit-checkpass.c checkpass-become.c checkpass-pam.c checkpass-reader.c \
  checkpass-scram.c passwd.c scram.c secret.c) tools/pipit-passwd.c tools/table.c
PAM := $(wildcard /usr/include/security/pam_appl.h)
pipit-checkpass_LIBS := -lcrypt -lcrypto $(if $(PAM),-lpam)
$B/tools/pipit-passwd.o: private CC_MORE := -Iauth
$B/auth/checkpass-pam.o: private CC_MORE := $(if $(PAM),-DHAVE_PAM)

# The programs of a checkpassword chain are names of it: they need no library that it does not.
PROGRAMS += pipit-authd
pipit-authd_NAMES := pipit-authok pipit-relayopen
pipit-authd_SRCS := $(addprefix auth/,pipit-authd.c authd-answer.c authd-asker.c failures.c limits.c open.c passwd.c \
  pipit-relayopen.c seats.c)
t-failures_SRCS := auth/failures.c auth/seats.c
t-limits-login_SRCS := auth/limits.c auth/seats.c

t-scram_SRCS := auth/scram.c auth/secret.c
t-scram_LIBS := -lcrypt -lcrypto
t-reader_SRCS := auth/checkpass-scram.c auth/scram.c auth/secret.c
t-reader_LIBS := -lcrypt -lcrypto
# With PAM functions of its own.
t-pam_SRCS := auth/checkpass-pam.c
$B/tests/unit/t-pam.o: private CC_MORE := -Iauth $(if $(PAM),-DHAVE_PAM)
$B/tests/unit/t-scram.o $B/tests/unit/t-reader.o $B/tests/unit/t-failures.o: private CC_MORE := -Iauth
