"""How numba makes machine code of our functions: each is typed once, and an entry point is optimised once, as a whole.

numba optimises each function together with all that it calls, and makes machine code of it, in case Python calls it. Of
ours Python calls entry points only: that work, done again at each level of a tree of calls, was half of a compilation.

All here leans on the inside of numba. `hvlab.kernel` takes it for the version that it was made for; where that lacks
something after all, at import or when a first small function is compiled, numba's own way is taken (`trouble`).
"""

import contextlib
import gc
from collections.abc import Iterator
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
from numba import _dynfunc
from numba.core import types, untyped_passes
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.typed_passes import (
    AnnotateTypes,
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
    PreLowerStripPhis,
)

CALL_TYPE, WRITTEN = types.BaseFunction.get_call_type, types.Record.__repr__  # not there: an error at import
PASSES = (  # numba's own, without those for closures, generators, array expressions and others that no kernel has
    untyped_passes.TranslateByteCode,
    untyped_passes.FixupArgs,
    untyped_passes.IRProcessing,
    untyped_passes.GenericRewrites,
    untyped_passes.InlineInlinables,
    untyped_passes.ReconstructSSA,
    NopythonTypeInference,
    PreLowerStripPhis,
    IRLegalization,
    AnnotateTypes,
)


class PartLibrary(JITCodeLibrary):
    """The code of one function as it was written, until an entry point takes it in."""

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout

    def finalize(self) -> None:
        """Close the library; nothing is linked, optimised or made machine code."""
        self._raise_if_finalized()
        self._finalize_dynamic_globals()
        self._finalized = True


class WholeLibrary(JITCodeLibrary):
    """An entry point and all that it calls, once each: linked, optimised and made machine code together."""

    def finalize(self) -> None:
        """Take in the parts, and the parts of these, then do as numba does."""
        found, new = dict[Any, None](), list(self._linking_libraries)  # type: ignore[has-type]
        while new:
            part = new.pop()
            if part not in found:
                found[part] = None
                new += part._linking_libraries if isinstance(part, PartLibrary) else []
        self._linking_libraries = list(found)
        super().finalize()

    def _optimize_final_module(self) -> None:
        for function in self._final_module.functions:
            if function.linkage is llvm.Linkage.linkonce_odr and not function.is_declaration:
                function.linkage = "internal"  # nobody else calls it: it may go when it is inlined everywhere
        self._optimize_functions(self._final_module)  # tidy before they are inlined: a tenth faster for 0.2 s
        passes, builder = self._codegen._module_pass_manager()
        with self._recorded_timings.record("Module passes (full optimization)", builder):
            passes.run(self._final_module, builder)


@register_pass(mutates_CFG=True, analysis_only=False)
class PartLowering(NativeLowering):
    """Write the code of a part."""

    _name = "hvlab_part_lowering"

    def run_pass(self, state: Any) -> bool:
        """Lower the function into a library of its own kind; numba knows a function by an object: a stub."""
        state.library = PartLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        super().run_pass(state)
        lowered, name = state["cr"], state.func_id.func_qualname
        stub = _dynfunc.make_function(lowered.fndesc.lookup_module(), name, "", 0, lowered.env, (state.library,))
        state.targetctx.insert_user_function(stub, lowered.fndesc, [state.library])
        state["cr"] = lowered._replace(cfunc=stub)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class WholeLowering(NativeLowering):
    """Write the code of an entry point, and make machine code of all."""

    _name = "hvlab_whole_lowering"

    def run_pass(self, state: Any) -> bool:
        """Lower the function into a library that takes in its parts."""
        state.library = WholeLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return bool(super().run_pass(state))


class Part(CompilerBase):
    """The compiler of what only compiled code calls."""

    lowering: Any = PartLowering

    @classmethod
    @cache
    def passes(cls) -> Any:
        """Return the passes, put together once."""
        made = PassManager("hvlab")
        for one in (*PASSES, cls.lowering, NoPythonBackend):
            made.add_pass(one, one.name())
        made.finalize()
        return made

    def define_pipelines(self) -> list[Any]:
        """Return the one way to compile: there is no second one, by Python objects."""
        return [DefaultPassBuilder.define_nopython_pipeline(self.state) if trouble() else self.passes()]


class Whole(Part):
    """The compiler of an entry point."""

    lowering: Any = WholeLowering


found: list[str] = []  # what the trial found, once it was made


def trouble() -> str:
    """Return why functions cannot be compiled in this way; an empty text if they can, or while that is being tried.

    A part and an entry point are compiled and called before the first one of ours is; not where a cache holds them.
    """
    if not found:
        found.append("")
        try:
            part: Any = numba.njit(pipeline_class=Part, no_cpython_wrapper=True)(lambda words: words[0] + words[1])
            whole: Any = numba.njit(pipeline_class=Whole)(lambda words: part(words) * part(words[1:]))
            with memory():
                if whole(np.arange(1, 4)) != 3 * 5:
                    raise ValueError("a function gives something else than its source")
        except Exception as error:  # whatever another numba does there
            found[0] = f"{type(error).__name__}: {error}".splitlines()[0]
    return found[0]


@contextlib.contextmanager
def memory() -> Iterator[None]:
    """Let numba work out once what `+` makes of two words, and how the type of the machine's state is written.

    It does both again for each operation and before each pass. Only here, and while nobody else can compile.
    """
    collects, outer = gc.isenabled(), (types.BaseFunction.get_call_type, types.Record.__repr__)
    known: dict[Any, Any] = {}

    def get_call_type(self: Any, context: Any, args: Any, kws: Any) -> Any:
        if kws or any(found):
            return CALL_TYPE(self, context, args, kws)
        key = self, tuple(args)
        if key not in known:
            known[key] = CALL_TYPE(self, context, args, kws)
        return known[key]

    with global_compiler_lock:
        types.BaseFunction.get_call_type, types.Record.__repr__ = get_call_type, cache(WRITTEN)  # type: ignore[method-assign]
        gc.disable()
        try:
            yield
        finally:
            types.BaseFunction.get_call_type, types.Record.__repr__ = outer  # type: ignore[method-assign]
            if collects:
                gc.enable()


def remembering(compiled: Any) -> Any:
    """Let an entry point be compiled with that memory."""
    numbas_own = compiled.compile

    def compile_(signature: Any) -> Any:
        with memory():
            return numbas_own(signature)

    compiled.compile = compile_
    return compiled
