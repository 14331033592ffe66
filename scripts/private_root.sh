# shellcheck shell=bash
# Sourced by scripts that use packages of another Debian: they are unpacked into a private root, and nothing is installed. Needs apt.

# Where apt gets this system's packages, and its name.
codename=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
mirror() { apt-get indextargets --format '$(SITE)' 'Created-By: Packages' "Codename: $codename" | head -n 1; }

# Creates a separate apt state in FOLDER/apt, and stores the apt-get command that uses it in the array `apt`.
private_apt() {  # FOLDER SUITE ARCHITECTURE deb|deb-src
  local state=$1/apt
  mkdir -p "$state"/{state/lists/partial,cache/archives/partial}
  : >"$state/status"
  echo "$4 $(mirror) $2 main" >"$state/sources.list"
  apt=(apt-get -qq -o "Dir::State=$state/state" -o "Dir::State::status=$state/status" -o "Dir::Cache=$state/cache"
    -o "Dir::Etc::SourceList=$state/sources.list" -o Dir::Etc::SourceParts=- -o "APT::Architecture=$3"
    -o "APT::Architectures=$3" -o APT::Sandbox::User=root)
  "${apt[@]}" update
}

# Unpacks packages of a Debian and all that they depend on into FOLDER/root.
unpack_packages() {  # FOLDER SUITE ARCHITECTURE PACKAGE...
  local folder=$1 package
  private_apt "$1" "$2" "$3" deb || return
  shift 3
  mkdir -p "$folder/root"
  "${apt[@]}" install -y --download-only --no-install-recommends "$@" >/dev/null || return
  for package in "$folder"/apt/cache/archives/*.deb; do dpkg -x "$package" "$folder/root" || return; done
}

# Unpacks the source of a package of this Debian into FOLDER/source; needs dpkg-dev.
unpack_source() {  # FOLDER PACKAGE
  private_apt "$1" "$codename" "$(dpkg --print-architecture)" deb-src || return
  (cd "$1/apt" && "${apt[@]}" source --download-only "$2" >/dev/null) || return
  dpkg-source --no-check -x "$1/apt/$2"_*.dsc "$1/source" >/dev/null
}
