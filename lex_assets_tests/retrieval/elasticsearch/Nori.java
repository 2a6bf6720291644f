// Terms of each line of the input by Lucene's nori with the filters of Elasticsearch's nori analyzer.
// java -cp lucene-core.jar:lucene-analyzers-common.jar:lucene-analyzers-nori.jar Nori.java discard [user word]...
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.util.*;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.core.LowerCaseFilter;
import org.apache.lucene.analysis.ko.*;
import org.apache.lucene.analysis.ko.dict.UserDictionary;
import org.apache.lucene.analysis.tokenattributes.CharTermAttribute;

public class Nori {
    public static void main(String[] args) throws IOException {
        KoreanTokenizer.DecompoundMode mode = KoreanTokenizer.DecompoundMode.valueOf(args[0].toUpperCase());
        String rules = String.join("\n", Arrays.copyOfRange(args, 1, args.length));
        UserDictionary words = rules.isEmpty() ? null : UserDictionary.open(new StringReader(rules));
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String line; (line = in.readLine()) != null; ) {
            KoreanTokenizer tokenizer = new KoreanTokenizer(TokenStream.DEFAULT_TOKEN_ATTRIBUTE_FACTORY, words, mode, false, true);
            tokenizer.setReader(new StringReader(line));
            List<String> terms = new ArrayList<>();
            try (TokenStream stream = new LowerCaseFilter(new KoreanReadingFormFilter(new KoreanPartOfSpeechStopFilter(tokenizer)))) {
                CharTermAttribute term = stream.addAttribute(CharTermAttribute.class);
                stream.reset();
                while (stream.incrementToken()) terms.add(term.toString());
                stream.end();
            }
            out.println(String.join(" ", terms));
        }
    }
}
