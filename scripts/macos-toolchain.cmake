# For crosscheck-macos.sh: Apple silicon with the Zig compiler, with third-party libraries as headers and stubs.
set(CMAKE_SYSTEM_NAME Darwin)
set(CMAKE_SYSTEM_PROCESSOR arm64)
set(CMAKE_OSX_ARCHITECTURES "" CACHE STRING "")  # the target says it
set(CMAKE_OSX_SYSROOT "" CACHE STRING "")
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)

set(tools ${CMAKE_CURRENT_LIST_DIR}/../build/zig)
set(CMAKE_CXX_COMPILER ${tools}/zig-c++)
set(CMAKE_CXX_COMPILER_TARGET aarch64-macos.13.0)
set(CMAKE_AR ${tools}/zig-ar CACHE FILEPATH "")
set(CMAKE_RANLIB ${tools}/zig-ranlib CACHE FILEPATH "")
set(CMAKE_INSTALL_NAME_TOOL true CACHE FILEPATH "")
set(CMAKE_CXX_FLAGS_INIT "-isystem $ENV{ANE_CROSS}/include -F$ENV{ANE_CROSS}/Frameworks -L$ENV{ANE_CROSS}/lib")
set(CMAKE_MODULE_PATH $ENV{ANE_CROSS}/cmake)
set(CMAKE_INCLUDE_PATH $ENV{ANE_CROSS}/include)
set(CMAKE_LIBRARY_PATH $ENV{ANE_CROSS}/lib)
