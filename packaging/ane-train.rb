# Template of the Homebrew formula: scripts/package.sh writes @VERSION@, @URL@ and @SHA256@. Homebrew builds the program
# from the source archive.
class AneTrain < Formula
  desc "Train transformers on Apple's Neural Engine"
  url "@URL@"
  version "@VERSION@"
  sha256 "@SHA256@"
  license "MIT"

  depends_on "cmake" => :build
  depends_on "cli11" => :build
  depends_on "ninja" => :build
  depends_on "nlohmann-json" => :build
  depends_on "xxhash" => :build
  depends_on "abseil"
  depends_on "fmt"
  depends_on "highway"
  depends_on "open-mpi"
  depends_on "pcre2"
  depends_on "sentencepiece"
  depends_on "spdlog"
  depends_on "utf8proc"

  def install
    system "cmake", "-S", ".", "-B", "build", "-G", "Ninja", "-DANE_TESTS=OFF", *std_cmake_args
    system "cmake", "--build", "build"
    system "cmake", "--install", "build"
    doc.install "README.md", "CHANGELOG.md", "docs", "configs"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/ane-train --version")
    system bin/"ane-train", "--config", "tiny", "--device", "host", "--steps", "2"
  end
end
