#include "ane/app/program.h"

int main(int /*argc*/, char** argv) { return ane::app::run_program(argv); }
