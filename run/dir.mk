SCRIPTS += run/pipit-setup
pipit-setup_PARTS := $(wildcard run/service/*)
SCRIPTS += run/pipit-run
