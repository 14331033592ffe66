#include <cstdlib>

#include "ane/core/error.h"
#include "ane/distributed/rank_process.h"

#include "mpi_connection.h"

/// For a build without MPI: fork_trainer() reports that before any of these is called.
namespace ane::distributed {

bool has_mpi() noexcept { return false; }
std::unique_ptr<Messages> connect_mpi() { throw UsageError("this ane-train was built without MPI"); }
std::string mpi_host() { return {}; }
void abort_mpi(int code) { std::_Exit(code); }

}  // namespace ane::distributed
