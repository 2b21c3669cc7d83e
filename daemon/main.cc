// SPDX-License-Identifier: MIT
#include "daemon/program.h"

int main(int argc, char** argv) { return kvd::RunProgram(argc, argv, nullptr); }
