# shellcheck shell=bash
# Sourced by scripts that use packages of another Debian: they are unpacked into a private root, and nothing is installed. Needs apt.

# Where apt gets this system's packages, and its name.
codename=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
mirror() { apt-get indextargets --format '$(SITE)' 'Created-By: Packages' "Codename: $codename" | head -n 1; }

# Unpacks packages of a Debian and all that they depend on into FOLDER/root; apt's own state for this is in FOLDER/apt.
unpack_packages() {  # FOLDER SUITE ARCHITECTURE PACKAGE...
  local root=$1/root state=$1/apt suite=$2 architecture=$3
  shift 3
  mkdir -p "$state"/{state/lists/partial,cache/archives/partial} "$root"
  : >"$state/status"
  echo "deb $(mirror) $suite main" >"$state/sources.list"
  local options=(-qq -o "Dir::State=$state/state" -o "Dir::State::status=$state/status" -o "Dir::Cache=$state/cache"
    -o "Dir::Etc::SourceList=$state/sources.list" -o Dir::Etc::SourceParts=- -o "APT::Architecture=$architecture"
    -o "APT::Architectures=$architecture" -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update || return
  apt-get "${options[@]}" install -y --download-only --no-install-recommends "$@" >/dev/null || return
  local package
  for package in "$state"/cache/archives/*.deb; do dpkg -x "$package" "$root" || return; done
}
