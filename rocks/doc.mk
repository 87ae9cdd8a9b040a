# doc.mk: the page of all settings, the reference of all functions. Included by the Makefile.

.PHONY: doc settings

# Options of the scripts, out of their parsers; a spec compares.
settings: build
	@$(RUN) rocks/settings.lua doc/settings.md

# LDoc reads what :help shows, and says nothing unless something is wrong.
doc: all
	@command -v ldoc >/dev/null || \
	  { echo 'doc: LDoc is missing: apt-get install --no-install-recommends lua-ldoc lua-markdown'; exit 1; }
	@rm -rf $B/reference $B/doc
	@$(RUN) rocks/reference.lua $B/help.lua $B/reference
	@HOME="$${HOME:-/}" ldoc -c doc/config.ld -d $(abspath $B/doc) $(abspath $B/reference) >$B/doc.log 2>&1 && \
	  ! grep -v -e '^reading ' -e '^output ' -e '^format: ' $B/doc.log || { cat $B/doc.log; echo 'doc: LDoc complains'; exit 1; }
	@! grep -q 'falling back to text' $B/doc.log || \
	  echo 'doc: lists stay plain text without: apt-get install --no-install-recommends lua-markdown'
	@echo DOC $B/doc/index.html
