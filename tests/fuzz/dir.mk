# Fuzzers: tests/fuzz/fuzz-NAME.c with clang's libFuzzer, and seeds in tests/fuzz/seeds/NAME.
# fuzz-NAME_SRCS adds program modules; fuzz-NAME_WRAP names functions whose calls the fuzzer takes
# over. Only the project's own code is watched for coverage, not the fuzzers'.
FUZZ_GCC := -fno-caller-saves -fno-move-loop-invariants -fno-gcse -fno-tree-loop-im -fno-tree-fre# what clang does not know
FUZZ_CC := clang $(filter-out $(FUZZ_GCC),$(wordlist 2,100,$(shell head -n 1 conf-cc))) -U_FORTIFY_SOURCE \
  -Wno-format-nonliteral -fno-omit-frame-pointer
FUZZ_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/fuzz-*.c)))
FUZZBINS := $(FUZZERS:%=$B/fuzz/bin/%)
FUZZ_RUNS := 10000000
FUZZ_SECONDS := 60

fuzz-address_SRCS := remote/quote.c
fuzz-aliases_SRCS := deliver/maillist.c
fuzz-auth_SRCS := $(addprefix auth/,authd-answer.c authd-asker.c checkpass-reader.c checkpass-scram.c \
  failures.c limits.c open.c passwd.c scram.c seats.c secret.c)
fuzz-auth_WRAP := auth_mechanisms auth_check auth_go_on auth_log_failure checker_start logline_write \
  passwd_find passwd_head
fuzz-auth_LIBS := -lcrypt -lcrypto
fuzz-control_SRCS := smtpd/settings.c smtpd/mode.c smtpd/netlist.c remote/route.c remote/routewords.c remote/tlspolicy.c
fuzz-data_SRCS := smtpd/data.c remote/output.c
fuzz-dotqmail_SRCS := local/dotqmail.c local/report.c local/loop.c
fuzz-dotqmail_WRAP := open
fuzz-inject_SRCS := $(addprefix queue/inject-,header.c rewrite.c settings.c input.c)
fuzz-job_SRCS := $(addprefix send/,rprogram.c bounce_text.c bounce_status.c bounce_put.c bounce.c \
  report.c lines.c state.c records.c)
fuzz-maildirsize_SRCS := local/sizefile.c local/quota.c
fuzz-popup_SRCS := pop3/popup.c $(addprefix smtpd/,stream.c tls.c netlist.c)
fuzz-popup_WRAP := poll recv stream_put stream_flush stream_linger stream_is_one_socket stream_is_pending \
  stream_start logline_write tls_is_there tls_prepare auth_mechanisms auth_check
fuzz-queue_SRCS := $(addprefix send/,records.c lines.c state.c journal.c)
fuzz-queue_WRAP := syncfs
fuzz-repair_SRCS := ofmipd/repair.c
fuzz-reply_SRCS := remote/outcome.c remote/peerlimits.c send/report.c
fuzz-sasl_SRCS := remote/sasl.c
fuzz-sasl_LIBS := -lcrypto
fuzz-session_SRCS := $(addprefix smtpd/,auth.c client.c commands.c data.c log.c mode.c netlist.c params.c receive.c recipient.c \
  recipient-list.c recipient-program.c recipient-rcptd.c rules.c session.c starttls.c stream.c) \
  ofmipd/repair.c ofmipd/submission.c tests/fuzz/session-model.c tests/fuzz/session-queue.c
fuzz-session_WRAP := auth_mechanisms auth_check stream_put logline_write recv read send write poll getifaddrs freeifaddrs
fuzz-tables_SRCS := $(addprefix tools/,assign.c mailbox-line.c mailbox-words.c) local/quota.c
fuzz-tables_WRAP := getpw_ids getgrnam
fuzz-tls_SRCS := smtpd/tls.c
fuzz-tls_WRAP := socket connect
fuzz-tlsc_SRCS := remote/tlspolicy.c tls/peer.c tls/stores.c
fuzz-tlsc_LIBS := -lssl -lcrypto
fuzz-vacation_SRCS := $(addprefix deliver/,helper.c mailhead.c vacation-decide.c vacation-reply.c)

$B/fuzz/obj/%.o: %.c $B/conf.h conf-cc tests/fuzz/dir.mk
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_SANITIZE) $(if $(filter tests/%,$<),,-fsanitize=fuzzer) \
	  -Ilib -I$B -MMD -MP -c -o $@ $<

$B/fuzz/libpipit.a: $(LIBSRCS:%.c=$B/fuzz/obj/%.o)
	@rm -f $@
	$(AR) rc $@ $^

$(FUZZBINS): $B/fuzz/bin/%: $B/fuzz/obj/tests/fuzz/%.o $B/fuzz/obj/tests/fuzz/fuzz.o \
  $$(addprefix $B/fuzz/obj/,$$($$*_SRCS:.c=.o)) $B/fuzz/libpipit.a
	@mkdir -p $(@D)
	clang $(FUZZ_SANITIZE) -fsanitize=fuzzer $(addprefix -Wl$(,)--wrap=,$($*_WRAP)) \
	  -o $@ $(filter %.o %.a,$^) $($*_LIBS) $(LIBS)
, := ,

.PHONY: fuzz check-fuzz fuzz-bins
fuzz-bins: $(FUZZBINS)
# An hour or two for each; build/fuzz/corpus keeps what was found on the way.
fuzz: deps-check
	$(CHECK) fuzz-bins
	@$(FUZZ) -j 1 -r $(FUZZ_RUNS) $B $(FUZZERS)
check-fuzz: deps-check
	$(CHECK) fuzz-bins
	@$(FUZZ) -s $(FUZZ_SECONDS) $B $(FUZZERS)
FUZZ = /usr/bin/python3 tests/fuzz/run.py $(if $(J),-j $J) $(if $(K),-k $K)
