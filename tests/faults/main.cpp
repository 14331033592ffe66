#include "faults/faulty_program.h"

int main(int /*argc*/, char** argv) { return ane::test::run_faulty_program(argv); }
