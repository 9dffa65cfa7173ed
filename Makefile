# Every target makes what it needs, a virtual environment included. `make help` lists them.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ONCE   ?=
LANE   ?=
PART   ?=
KEY    ?= $(HOME)/.ssh/appliance-release
PYTHONS ?= 3.11 3.13

.DEFAULT_GOAL := help
.PHONY: help install demo check format test proof faults faults-long bench lock openapi contract clean

help:  ## Say what there is
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

# --no-build-isolation: the build backend comes from the lock file as well, hashes and all.
$(VENV)/installed: pyproject.toml requirements-dev.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

install: $(VENV)/installed  ## Make a virtual environment with the appliance in it

demo: install  ## Watch ./inbox and drop the sample recordings in (ONCE=1: end by itself)
	$(BIN)/appliance demo $(if $(ONCE),--once)

check: install  ## Format, lint, types, imports
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install  ## Put the code into its form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# What the tests need from Debian; installed when we may, asked for by name when not.
# A program (or a file), or program:package where the two differ. RUNLEVEL=1 starts no server by
# itself.
PROGRAMS := espeak-ng chromium bindfs strace faketime fusermount3:fuse3 fiu-run:fiu-utils
PROGRAMS += systemd-analyze:systemd systemd-nspawn:systemd-container nginx nft:nftables ip:iproute2 openssl
PROGRAMS += /usr/lib/python3/dist-packages/systemd/daemon.py:python3-systemd promtool:prometheus
PROGRAMS += ssh-keygen:openssh-client smbd:samba smbclient mkfs.btrfs:btrfs-progs mkfs.ext4:e2fsprogs
.PHONY: programs
programs:
	@wanted=; for one in $(PROGRAMS); do \
	  program=$${one%%:*} package=$${one##*:}; \
	  PATH="$$PATH:/usr/sbin:/sbin" command -v $$program >/dev/null && continue; \
	  [ -e "/$${program#/}" ] || wanted="$$wanted $$package"; \
	done; \
	[ -z "$$wanted" ] && exit; \
	if [ "$$(id -u)" = 0 ]; then \
	  apt-get update -qq && RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $$wanted >/dev/null; \
	else echo "this needs:$$wanted (apt-get install)" >&2; exit 1; fi

# A file of tests stays together; most of them wait for something, so one more at a time than
# there are processors.
test: check programs controller  ## Everything that proves the product
	$(BIN)/python -m pytest --numprocesses $$(( $$(nproc) + 1 )) --dist loadfile

proof: install programs  ## The long proofs, with their figures (PROOF=words: one; PROOF=--short: less)
	$(BIN)/python -m tests.proof $(PROOF)

faults: install programs  ## Break everything for an hour: nothing lost, nothing twice (LANE=kill)
	$(BIN)/python -m tests.faults $(LANE)

faults-long: install programs  ## The same in full; what passed at this commit is not run again
	$(BIN)/python -m tests.faults --long $(LANE)

# What we are measured against, each in an environment of its own; and the allocator that the
# engine runs with where it is installed.
.PHONY: bench-peers bench-full bench-scale
bench-peers: install programs
	@ls /usr/lib/*/libjemalloc.so.2 >/dev/null 2>&1 || { [ "$$(id -u)" = 0 ] \
	  && apt-get update -qq && apt-get install -y -qq --no-install-recommends libjemalloc2 >/dev/null; } \
	  || echo "without jemalloc (apt-get install libjemalloc2) the engine is slower" >&2
	$(BIN)/python -m tests.bench.peers

bench: bench-peers  ## Beside bare faster-whisper, a quarter of an hour (a quiet machine; PART=memos)
	$(BIN)/python -m tests.bench $(PART)

bench-full: bench-peers  ## The same with longer recordings and more runs, an hour and a half
	$(BIN)/python -m tests.bench --full $(PART)

bench-scale: install  ## How it bears a share of 100,000 recordings (minutes; a quiet machine)
	$(BIN)/python -m tests.bench.scale

# What a controller needs, in an environment of its own: it shares nothing with the product.
.venv-ansible/installed: ansible/requirements.lock
	$(PYTHON) -m venv .venv-ansible
	.venv-ansible/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r ansible/requirements.lock
	touch $@

.PHONY: controller release test-box test-box-full
controller: .venv-ansible/installed  ## What provisions boxes: .venv-ansible/bin/ansible-playbook

release: install  ## One signed file for boxes without a network (KEY=ssh key, PYTHONS="3.11 3.13", GPU=1)
	$(BIN)/python -m image.release.make --key $(KEY) $(addprefix --python ,$(PYTHONS)) $(if $(GPU),--lock requirements-gpu.lock)

# What an image is made with: Debian's packages, a container, file systems.
MAKE_IMAGES := mmdebstrap ssh:openssh-client sfdisk:fdisk mkfs.vfat:dosfstools mcopy:mtools mke2fs:e2fsprogs zstd
image: PROGRAMS += $(MAKE_IMAGES)
.PHONY: image
image: release programs controller  ## A disk for a PC or a virtual machine, with this release on it (as root; KEY=ssh key)
	$(BIN)/python -m image.build --key $(KEY)

# What the lanes need beyond what the tests do: a container, and a virtual machine (kept in .box/,
# made anew when its parts change).
test-box test-box-full: PROGRAMS += $(MAKE_IMAGES) debugfs:e2fsprogs
test-box test-box-full: PROGRAMS += qemu-system-x86_64:qemu-system-x86 qemu-img:qemu-utils /usr/share/OVMF/OVMF_CODE_4M.fd:ovmf
ifneq ($(filter test-box%,$(MAKECMDGOALS)),)
MAKEFLAGS += --jobs=3  # what they need comes from three places
endif
test-box: install programs controller  ## What needs a whole box: LANE=provision, guest (limits, NAS, power) or image
	$(BIN)/python -m tests.box $(or $(LANE),all)

test-box-full: install programs controller  ## The same with every fault of a NAS and twenty power cuts (two hours)
	$(BIN)/python -m tests.box --full $(or $(LANE),all)

lock: install  ## Write the lock files anew (hashes, no addresses)
	$(BIN)/pip-compile --quiet --upgrade --strip-extras --generate-hashes --allow-unsafe --no-header --no-annotate --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file requirements.lock pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --strip-extras --generate-hashes --allow-unsafe --no-header --no-annotate --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml
	$(BIN)/pip-compile --quiet --strip-extras --generate-hashes --allow-unsafe --no-header --no-annotate --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --extra gpu --constraint requirements.lock --output-file requirements-gpu.lock pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --strip-extras --generate-hashes --allow-unsafe --no-header --no-annotate --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file ansible/requirements.lock ansible/requirements.in

contract: install  ## Ask the API whatever its document allows, and more, for long
	APPLIANCE_CONTRACT_EXAMPLES=$(or $(EXAMPLES),200) $(BIN)/python -m pytest tests/web/test_contract.py --timeout 3600

openapi: install  ## Write docs/openapi.json anew
	$(BIN)/python -m web.api > docs/openapi.json.new && mv docs/openapi.json.new docs/openapi.json

clean:  ## Remove what the targets above made; ./inbox and its recordings stay
	rm -rf $(VENV) .venv-ansible .ansible .bench .box .demo .faults .proof .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
