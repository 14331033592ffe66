#pragma once

#include <memory>
#include <string>

#include "ane/distributed/messages.h"

/// MPI, if the program was built with it.
namespace ane::distributed {

/// Initializes MPI. The destructor of the result ends it, and waits for the other ranks.
[[nodiscard]] std::unique_ptr<Messages> connect_mpi();
/// The name of this machine.
[[nodiscard]] std::string mpi_host();
/// Ends all processes of the job, whose launcher returns `code`.
[[noreturn]] void abort_mpi(int code);

}  // namespace ane::distributed
