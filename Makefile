# Everything runs in .venv, which is made from the lock files. Debian packages that the tests need are installed as root.
BIN := .venv/bin

.PHONY: demo test test-lan test-ipvs test-kube test-deploy test-cluster lint fmt bench bench-full bench-speaker bench-agent bench-ipvs soak clean

demo: .venv/installed  ## live failovers of real routers in namespaces, and their outage; DEMO="--fault all"
	$(BIN)/vrrpd demo $(DEMO)

test: .venv/installed-dev  ## unit, simulation, namespaces, interop with real keepalived and FRR, a real IPVS kernel
	.ci/packages keepalived frr faketime ucarp chromium user-mode-linux kmod ipvsadm iproute2 nftables iptables openssl
	$(BIN)/pytest $(TESTS)

test-lan: .venv/installed-dev  ## elections beside keepalived and FRR, long times and many routers, campaigns; five minutes, as root
	.ci/packages keepalived frr ucarp nftables
	$(BIN)/pytest -m lan

test-ipvs: .venv/installed-dev  ## connections through IPVS at length, and what needs nftables as well; four minutes, as root
	.ci/packages user-mode-linux kmod ipvsadm iproute2 iptables qemu-system-x86 linux-image-amd64 busybox-static
	$(BIN)/pytest -m "ipvs_traffic or ipvs_qemu" tests/ipvs

test-kube: .venv/installed-dev  ## the agent on a real kube-apiserver, which is built once; two minutes then, as root
	.ci/packages etcd-server etcd-client openssl util-linux keepalived user-mode-linux kmod ipvsadm iproute2
	$(BIN)/python -m tests.kube.binary kube-apiserver
	$(BIN)/pytest -m kube tests/kube

test-deploy: .venv/installed-dev  ## deploy/: rendered, tried on a real kube-apiserver, the image made and run; as root
	.ci/packages etcd-server etcd-client openssl util-linux mount mmdebstrap prometheus qemu-user-static
	$(BIN)/python -m tests.kube.binary kube-apiserver kubectl helm
	$(BIN)/pytest -m deploy tests/deploy

test-cluster: .venv/installed-dev  ## the DaemonSet on real kubelets, built once; four minutes then, as root
	.ci/packages etcd-server etcd-client openssl util-linux mount mmdebstrap containerd runc containernetworking-plugins busybox-static
	$(BIN)/python -m tests.kube.binary kube-apiserver kube-controller-manager kube-scheduler kubectl kubelet helm
	unshare --pid --fork --kill-child --mount-proc $(BIN)/pytest -m cluster tests/cluster  # whose end is that of all

lint: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

fmt: .venv/installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

BENCH_OUT := --out bench-results/$(shell date +%Y%m%d-%H%M%S)
BENCH_QUICK := --runs 3 --scale quick --figures quick
BENCH_FULL := --advert 1,0.1,0.01 --runs 20 --scale --figures --ipvs --kubernetes

bench: .venv/installed-dev  ## failover of vrrpd, keepalived and FRR side by side; ten minutes, as root; BENCH="--fault stop"
	.ci/packages keepalived frr
	$(BIN)/python -m benchmarks.failover $(BENCH_OUT) $(or $(BENCH),$(BENCH_QUICK))

bench-full: .venv/installed-dev  ## the same at three intervals, under loads, at every size, with ucarp and IPVS; hours
	.ci/packages keepalived frr ucarp nftables iproute2 user-mode-linux kmod ipvsadm etcd-server etcd-client openssl
	$(BIN)/python -m tests.kube.binary kube-apiserver
	$(BIN)/python -m benchmarks.failover --speaker vrrpd --speaker keepalived --speaker frr \
		--speaker benchmarks/failover/ucarp.toml --load cpu,memory,loss=10,delay=5 $(BENCH_OUT) $(BENCH_FULL) $(BENCH)

bench-speaker: .venv/installed-dev  ## vrrpd beside keepalived, held to ratios; a quarter of an hour; BENCH="--only start"
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
