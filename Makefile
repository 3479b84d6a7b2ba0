# Everything runs in .venv, which is made from the lock files. Debian packages that the tests need are installed as root.
BIN := .venv/bin

.PHONY: demo test test-ipvs test-kube test-deploy test-cluster lint fmt bench bench-agent bench-ipvs soak clean

demo: .venv/installed  ## live failovers of real routers in namespaces, and their outage; DEMO="--fault all"
	$(BIN)/vrrpd demo $(DEMO)

test: .venv/installed-dev  ## unit, simulation, namespaces, interop with real keepalived and FRR, a real IPVS kernel
	.ci/packages keepalived frr faketime ucarp chromium user-mode-linux kmod ipvsadm iproute2 nftables iptables openssl
	$(BIN)/pytest $(TESTS)

test-ipvs: .venv/installed-dev  ## what needs IPVS and nftables in one kernel: Debian's, in QEMU; two minutes, as root
	.ci/packages qemu-system-x86 linux-image-amd64 busybox-static iproute2
	$(BIN)/pytest -m ipvs_qemu tests/ipvs

test-kube: .venv/installed-dev  ## the agent on a real kube-apiserver, which is built once; two minutes then, as root
	.ci/packages etcd-server etcd-client openssl util-linux keepalived user-mode-linux kmod ipvsadm iproute2
	$(BIN)/python -m tests.kube.binary kube-apiserver
	$(BIN)/pytest -m kube tests/kube

test-deploy: .venv/installed-dev  ## deploy/: rendered, tried on a real kube-apiserver, the image made and run; as root
	.ci/packages etcd-server etcd-client openssl util-linux mount prometheus
	$(BIN)/python -m tests.kube.binary kube-apiserver kubectl helm
	$(BIN)/pytest -m deploy tests/deploy

test-cluster: .venv/installed-dev  ## the DaemonSet on real kubelets, built once; four minutes then, as root
	.ci/packages etcd-server etcd-client openssl util-linux mount containerd runc containernetworking-plugins busybox-static
	$(BIN)/python -m tests.kube.binary kube-apiserver kube-controller-manager kube-scheduler kubectl kubelet
	$(BIN)/pytest -m cluster tests/cluster

lint: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

fmt: .venv/installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: .venv/installed-dev  ## ratios to real keepalived in the same run; a quarter of an hour, as root; BENCH="--only start"
	.ci/packages keepalived
	$(BIN)/python -m benchmarks.speaker $(BENCH)

bench-ipvs: .venv/installed-dev  ## large tables of virtual servers, beside keepalived's; ten minutes, as root
	.ci/packages keepalived user-mode-linux kmod ipvsadm iproute2
	$(BIN)/python -m benchmarks.ipvs $(BENCH)

bench-agent: .venv/installed-dev  ## the agent in a cluster with 5,000 slices; five minutes, as root
	.ci/packages etcd-server etcd-client openssl util-linux keepalived
	$(BIN)/python -m tests.kube.binary
	$(BIN)/python -m benchmarks.agent $(BENCH)

soak: .venv/installed-dev  ## 10^5 random fault episodes of the protocol core, or EPISODES=, SEED=, JOBS=; minutes
	$(BIN)/python -m tests.simulation.soak $(EPISODES:%=--episodes %) $(SEED:%=--seed %) $(JOBS:%=--jobs %)

clean:
	rm -rf .venv .cache

.venv/installed: requirements.lock pyproject.toml
	.ci/environment requirements.lock
	touch $@

.venv/installed-dev: requirements-dev.lock pyproject.toml
	.ci/environment requirements-dev.lock
	touch $@ .venv/installed
