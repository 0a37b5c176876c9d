# kernels.fatbin: every CUDA kernel for every SM we know, loaded by the driver at run time. It needs nvcc to be built and
# nothing of the CUDA toolkit to be used: no runtime library, no host code, the same file on x86-64 and aarch64.
set(CATHRT_CUDA AUTO CACHE STRING "Build kernels.fatbin: AUTO (where nvcc is found), ON (or fail), OFF")
set_property(CACHE CATHRT_CUDA PROPERTY STRINGS AUTO ON OFF)
if(CATHRT_CUDA STREQUAL "OFF")
  return()
endif()
if(NOT CATHRT_CUDA MATCHES "^(AUTO|ON)$")
  message(FATAL_ERROR "CATHRT_CUDA is ${CATHRT_CUDA}, expected AUTO, ON or OFF")
endif()

find_program(CATHRT_NVCC nvcc HINTS ENV CUDACXX ENV CUDA_HOME ENV CUDA_PATH PATH_SUFFIXES bin PATHS /usr/local/cuda)
if(NOT CATHRT_NVCC)
  if(CATHRT_CUDA STREQUAL "ON")
    message(FATAL_ERROR "CATHRT_CUDA is ON but nvcc was not found: install the CUDA toolkit (13.0 or later), put its bin "
      "folder on PATH or give -DCATHRT_NVCC=/path/to/nvcc")
  endif()
  message(STATUS "nvcc not found: cathrt is built without its CUDA kernels (CATHRT_CUDA=AUTO)")
  return()
endif()

# SM 7.5 Turing, 8.0 to 8.7 Ampere and Orin, 8.9 Ada, 9.0 Hopper, 10.0 to 12.0 Blackwell and Thor. What comes later
# compiles the PTX of 12.0 when it first loads it.
set(SMS 75 80 86 87 89 90 100 110 120)
list(TRANSFORM SMS REPLACE "(.+)" "-gencode=arch=compute_\\1,code=sm_\\1" OUTPUT_VARIABLE TARGETS)
list(APPEND TARGETS -gencode=arch=compute_120,code=compute_120)

# The driver loads one image a file, so all kernels are one translation unit: each source in a namespace of its own.
set(SRC ${CMAKE_CURRENT_LIST_DIR}/src)
file(GLOB CUDA_HEADERS CONFIGURE_DEPENDS ${SRC}/*.cuh)
file(GLOB CUDA_SOURCES CONFIGURE_DEPENDS ${SRC}/*.cu)
set(UNIT "")
foreach(header ${CUDA_HEADERS})
  string(APPEND UNIT "#include \"${header}\"\n")
endforeach()
foreach(source ${CUDA_SOURCES})
  get_filename_component(op ${source} NAME_WE)
  string(APPEND UNIT "namespace cathrt_${op} {\n#include \"${source}\"\n}\n")
endforeach()
file(CONFIGURE OUTPUT kernels.cu CONTENT "${UNIT}" @ONLY)

set(FATBIN ${CMAKE_CURRENT_BINARY_DIR}/kernels.fatbin)
add_custom_command(OUTPUT ${FATBIN}
  COMMAND ${CATHRT_NVCC} -fatbin -std=c++17 --threads=2 -I${SRC} ${TARGETS} -o ${FATBIN} ${CMAKE_CURRENT_BINARY_DIR}/kernels.cu
  DEPENDS ${CMAKE_CURRENT_BINARY_DIR}/kernels.cu ${CUDA_HEADERS} ${CUDA_SOURCES} VERBATIM
  COMMENT "CUDA kernels for SM ${SMS}")
add_custom_target(kernels_fatbin ALL DEPENDS ${FATBIN})
install(FILES ${FATBIN} DESTINATION cathrt/kernels)
