#!/bin/bash
# Installs what is missing, and nothing else: `deploy/setup.sh run` for `make run`, `deploy/setup.sh test` for the tests.
# What is done leaves a stamp, so that the next time takes well under a second.
set -euo pipefail
cd "$(dirname "$0")/.."
purpose=${1:-run}
venv=.venv
started=$SECONDS

say() { printf '%3d s  %s\n' $((SECONDS - started)) "$*"; }
root() { [ "$(id -u)" -eq 0 ]; }
export PATH="$PATH:/usr/sbin:/sbin:/usr/local/go/bin:$PWD/$venv/bin"

# --- Debian packages: what is looked for, the package that brings it, what it is for -------------------------------
wanted() {
    echo "module:venv python3-venv the environment"
    echo "module:bcc python3-bpfcc probe-manager"
    echo "file:/usr/include/linux/bpf.h linux-libc-dev probe-manager"
    echo "command:ip iproute2 the demo's network"
    echo "command:tc iproute2 the demo's lossy link"
    echo "command:nginx nginx-light the demo"
    echo "command:redis-server redis-server the demo"
    echo "command:dnsmasq dnsmasq-base the demo"
    if [ "$purpose" = test ]; then
        echo "command:wrk wrk the kernel tests"
        echo "command:redis-benchmark redis-tools the kernel tests"
        echo "command:curl curl the kernel tests"
        echo "command:iptables-nft iptables the kernel tests"
        echo "command:chromium chromium the tests of the page"
        echo "command:mariadbd mariadb-server the kernel tests"
        echo "command:memcached memcached the kernel tests"
        echo "command:mosquitto mosquitto the kernel tests"
        echo "command:rabbitmq-server rabbitmq-server the kernel tests"
        echo "command:slapd slapd the kernel tests"
        echo "command:ldapsearch ldap-utils the kernel tests"
        echo "command:apache2 apache2-bin the kernel tests"
        echo "command:php-fpm8.2 php8.2-fpm the kernel tests"
        echo "command:etcd etcd-server the kernel tests"
        echo "command:etcdctl etcd-client the kernel tests"
        echo "command:h2load nghttp2-client the kernel tests"
        echo "command:gnutls-cli gnutls-bin the kernel tests"
        echo "command:clickhouse-server clickhouse-server the kernel tests"
        echo "command:clickhouse-client clickhouse-client the kernel tests"
    fi
}

is_there() {
    case $1 in
        command:*) command -v "${1#*:}" > /dev/null ;;
        file:*) [ -e "${1#*:}" ] ;;
        module:venv) /usr/bin/python3 -c 'import ensurepip, venv' 2> /dev/null ;;
        module:bcc) [ -d /usr/lib/python3/dist-packages/bcc ] ;;
    esac
}

missing=()
while read -r sign package what; do
    is_there "$sign" && continue
    [[ " ${missing[*]-} " == *" $package "* ]] || missing+=("$package")
    say "$package is missing ($what)"
done < <(wanted)

install_packages() {
    export DEBIAN_FRONTEND=noninteractive
    # Debian starts a server as soon as it is installed; we start our own, so that is forbidden meanwhile.
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' > $policy
        chmod +x $policy
        # shellcheck disable=SC2064 # the path is meant as it is now
        trap "rm -f $policy" EXIT
    fi
    if ! apt-cache show "${missing[@]}" > /dev/null 2>&1; then
        say "fetching the lists of packages"
        apt-get update -q
    fi
    say "installing ${missing[*]}"
    apt-get install -q -y --no-install-recommends "${missing[@]}"
}

if [ ${#missing[@]} -gt 0 ]; then
    if root; then
        install_packages
    else
        say "not root: to have all of it, run: apt-get install ${missing[*]}"
        if ! is_there module:venv; then
            say "without python3-venv nothing can go on"
            exit 2
        fi
    fi
fi

# --- Python packages, in an environment of the distribution's own Python: its bcc is built for that one -------------
lock=requirements-embedded.lock
[ "$purpose" = test ] && lock=requirements-dev.lock
stamp=$venv/.meshlens-$purpose
fingerprint=$(cat "$lock" pyproject.toml "$0" | sha256sum | cut -d' ' -f1)
if [ "$(cat "$stamp" 2> /dev/null)" != "$fingerprint" ]; then
    if [ ! -x $venv/bin/python ]; then
        say "making $venv"
        /usr/bin/python3 -m venv $venv
    fi
    say "installing Python packages ($(grep -c '==' "$lock"))"
    $venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r "$lock"
    say "installing meshlens into $venv"
    $venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
    echo "$fingerprint" > "$stamp"
fi
if [ -d /usr/lib/python3/dist-packages/bcc ]; then
    ln -sfn /usr/lib/python3/dist-packages/bcc "$($venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/bcc"
fi

# --- The page ---------------------------------------------------------------------------------------------------------
node_is_new_enough() {
    command -v npm > /dev/null && node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' 2> /dev/null
}

ui=services/query_api/ui
if [ -f $ui/package.json ]; then
    fingerprint=$(find $ui -type f -not -path '*/node_modules/*' -not -path '*/dist/*' -print0 | sort -z |
        xargs -0 sha256sum | sha256sum | cut -d' ' -f1)
    if [ "$(cat $ui/dist/.stamp 2> /dev/null)" != "$fingerprint" ] || { [ "$purpose" = test ] && [ ! -d $ui/node_modules ]; }; then
        if ! node_is_new_enough; then
            say "installing node (no node >= 20.19 here)"
            $venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-node.lock
            export PATH="$PWD/$venv/bin:$PATH"
        fi
        say "building the page"
        (cd $ui && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build)
        echo "$fingerprint" > $ui/dist/.stamp
    fi
fi
say "ready"
