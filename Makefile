# GNU make. make | make check | make demo | make install | make help
# Settings are the first lines of conf-cc, conf-ld, conf-home, conf-users and conf-split.
# Each folder's dir.mk names its programs (PROGRAMS, NAME_SRCS, NAME_LIBS).

VERSION := 0.1
CC := $(shell head -n 1 conf-cc)
LD := $(shell head -n 1 conf-ld)
B := build
HOMEDIR := $(shell head -n 1 conf-home)
SPLIT := $(shell head -n 1 conf-split)
ACCOUNTS := $(shell sed '/^$$/,$$d' conf-users)
# Bytes of memory that a service whose programs strangers talk to may use (pipit-setup writes env/MEMORY).
MEMORY := 134217728

# The order matters: libcdb must come before libskarnet (both define cdb_init and others).
LIBS := -lcdb -lskarnet

ifeq ($(SANITIZE),1)
CC += -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -U_FORTIFY_SOURCE
MEMORY :=
LD += -fsanitize=address,undefined
endif

all:
.PHONY: all clean help
.DELETE_ON_ERROR:
.SECONDEXPANSION:
# An implicit rule must never delete an object that another make is using.
.SECONDARY:

PROGRAMS :=
SCRIPTS :=
UNITTESTS :=
LIBSRCS := $(sort $(wildcard lib/*.c))
include $(sort $(wildcard */dir.mk))

BINS := $(PROGRAMS:%=$B/bin/%)
SCRIPTBINS := $(foreach s,$(SCRIPTS),$B/bin/$(notdir $s))
all: $(BINS) $(SCRIPTBINS)

# Everything that is compiled in from the conf- files stands in one header.
$B/conf.h: conf-home conf-users conf-split Makefile
	@mkdir -p $(@D)
	@{ printf '#define CONF_HOME "%s"\n' "$$(head -n 1 conf-home)"; \
	   printf '#define CONF_SPLIT %s\n' "$$(head -n 1 conf-split)"; \
	   printf '#define CONF_VERSION "%s"\n' "$(VERSION)"; \
	   printf '#define CONF_USERS'; \
	   sed '/^$$/,$$d' conf-users | while read -r u; do printf ' "%s",' "$$u"; done; printf '\n'; } >$@

$B/%.o: %.c $B/conf.h conf-cc Makefile
	@mkdir -p $(@D)
	$(CC) -Ilib -I$B -MMD -MP -c -o $@ $<

$B/libpipit.a: $(LIBSRCS:%.c=$B/%.o)
	@rm -f $@
	$(AR) rc $@ $^

$(BINS): $B/bin/%: $$(addprefix $B/,$$($$*_SRCS:.c=.o)) $B/libpipit.a conf-ld Makefile
	@mkdir -p $(@D)
	$(LD) -o $@ $(filter %.o %.a,$^) $($*_LIBS) $(LIBS)

# In a script @SPLIT@ and the like stand for settings, and a line @NAME@ for a file of its _PARTS,
# which may hold another one: therefore twice.
$(foreach s,$(SCRIPTS),$(eval $(notdir $s)_SCRIPT := $s))
FILL = sed -e 's|@SPLIT@|$(SPLIT)|; s|@QUEUE@|$(word 4,$(ACCOUNTS))|; s|@HOME@|$(HOMEDIR)|; s|@ACCOUNTS@|$(ACCOUNTS)|; s|@MEMORY@|$(MEMORY)|' \
  $(foreach p,$($*_PARTS),-e '/^@$(notdir $p)@$$/{r $p' -e 'd' -e '}')
$(SCRIPTBINS): $B/bin/%: $$($$*_SCRIPT) $$($$*_PARTS) $B/conf.h
	@mkdir -p $(@D)
	$(FILL) $< | $(FILL) >$@
	@chmod 755 $@

# A unit test tests/unit/t-NAME.c is linked with the library; t-NAME_SRCS adds program modules.
UNITBINS := $(UNITTESTS:%=$B/tests/%)
$(UNITBINS): $B/tests/%: $B/tests/unit/%.o $$(addprefix $B/,$$($$*_SRCS:.c=.o)) $B/libpipit.a conf-ld
	@mkdir -p $(@D)
	$(LD) -o $@ $(filter %.o %.a,$^) $($*_LIBS) $(LIBS)

clean:
	rm -rf $B

-include $(shell find $B -name '*.d' 2>/dev/null)
